-- The report's rules again: overlapping periods in different currencies both counted, and so did a week whose days are in a currency
-- that it lacks, if a month contains it; --explain repeated what counts of a day for each row of its breakdown. Replaces functions of
-- 0007_report_truth.sql and 0008_report_currencies.sql.

-- Hours and their day, as CTEs: the rows of "piece" of one object may be added up. In most cases one period contains others,
-- which do not overlap each other; objects with other cases are tangled.
CREATE OR REPLACE FUNCTION boris_ingestd_sql_of_periods() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $outer$ SELECT $sql$
tree AS MATERIALIZED (
    SELECT number, object_id, type, ad_set, campaign FROM public.boris_ingestd_tree($3, $4)
), alone AS NOT MATERIALIZED ( -- one row of a collection
    SELECT number, period_start, period_end, collected_at, collected_before, currency, amount_cents::numeric, impressions::numeric,
           clicks::numeric, conversions::numeric, NULL::bigint AS records, CASE WHEN fractional THEN 1::bigint END AS fractional,
           NULL::text AS breakdown, outside, container
    FROM several WHERE has_more IS NULL
), others AS NOT MATERIALIZED (
    SELECT number, period_start, period_end, collected_at, collected_before, currency, amount_cents::numeric, impressions::numeric,
           clicks::numeric, conversions::numeric, NULL::bigint AS records, CASE WHEN fractional THEN 1::bigint END AS fractional,
           NULL::text AS breakdown, outside, container
    FROM rest WHERE has_more IS NULL
    UNION ALL
    SELECT number, period_start, period_end, collected_at, collected_before, currency, amount_cents, impressions, clicks, conversions,
           records, fractional, breakdown, outside, container
    FROM family
), latest AS NOT MATERIALIZED (
    SELECT * FROM alone UNION ALL SELECT * FROM others
), below AS MATERIALIZED (
    SELECT number, container, currency, max(collected_at) AS latest_below, max(collected_before) AS latest_before,
           sum(amount_cents) AS amount_below, sum(impressions) AS impressions_below, sum(clicks) AS clicks_below,
           sum(conversions) AS conversions_below
    FROM (
        SELECT number, container, currency, max(collected_at) AS collected_at, max(collected_before) AS collected_before,
               sum(amount_cents) AS amount_cents, sum(impressions) AS impressions, sum(clicks) AS clicks, sum(conversions) AS conversions
        FROM several WHERE has_more IS NULL AND container IS NOT NULL AND (SELECT containers FROM there)
        GROUP BY number, container, currency
        UNION ALL
        SELECT number, container, currency, collected_at, collected_before, amount_cents, impressions, clicks, conversions
        FROM others WHERE container IS NOT NULL
    ) AS inner_periods
    GROUP BY number, container, currency
), tangled AS MATERIALIZED (
    SELECT number FROM present WHERE tangled
    UNION
    SELECT number FROM present WHERE reach IS NOT NULL AND EXISTS (SELECT FROM rest)
    UNION
    SELECT l.number
    FROM latest l JOIN below b ON b.number = l.number AND b.container = l.period_end AND b.currency = l.currency
    WHERE l.container IS NULL AND b.latest_before >= l.collected_at
      AND (SELECT max(latest_before) FROM below) IS NOT NULL
), tangled_rows AS MATERIALIZED (
    SELECT * FROM latest WHERE EXISTS (SELECT FROM tangled) AND number IN (SELECT number FROM tangled)
), overlapped AS MATERIALIZED ( -- periods of objects with several currencies that lose to a later one, whatever their currencies
    SELECT number, starts[n] AS period_start, ends[n] AS period_end
    FROM (
        SELECT number, array_agg(period_start ORDER BY period_start, period_end DESC) AS starts,
               array_agg(period_end ORDER BY period_start, period_end DESC) AS ends,
               array_agg(collected_at ORDER BY period_start, period_end DESC) AS collected
        FROM (
            SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY number ORDER BY period_start, period_end DESC
                                                           ROWS UNBOUNDED PRECEDING) AS knot
            FROM (
                SELECT number, period_start, period_end, max(collected_at) AS collected_at,
                       coalesce(max(period_end) OVER (PARTITION BY number ORDER BY period_start, period_end DESC
                                                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) <= period_start, true) AS begins
                FROM tangled_rows
                WHERE number IN (SELECT number FROM tangled_rows GROUP BY number HAVING min(currency COLLATE "C") <> max(currency COLLATE "C"))
                GROUP BY number, period_start, period_end
            ) AS began
        ) AS periods
        GROUP BY number, knot
    ) AS t, generate_subscripts(t.starts, 1) AS n
    WHERE n NOT IN (SELECT place FROM public.boris_ingestd_untangle(t.starts, t.ends, t.collected))
), among_currencies AS MATERIALIZED (
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY number ORDER BY period_start, period_end DESC) AS knot
    FROM (
        SELECT number, period_start, period_end, currency, coalesce(max(period_end) OVER earlier <= period_start, true) AS begins,
               min(period_start) OVER following < period_end AS holds_others
        FROM latest
        WHERE (SELECT containers FROM there) AND number IN (
            SELECT number FROM present WHERE currencies
            UNION ALL SELECT number FROM rest
            UNION ALL SELECT number FROM family GROUP BY number HAVING min(currency COLLATE "C") <> max(currency COLLATE "C"))
          AND (NOT EXISTS (SELECT FROM overlapped) OR (number, period_start, period_end) NOT IN (SELECT * FROM overlapped))
        WINDOW earlier AS (PARTITION BY number ORDER BY period_start, period_end DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
               following AS (PARTITION BY number ORDER BY period_start, period_end DESC GROUPS BETWEEN 1 FOLLOWING AND 1 FOLLOWING)
    ) AS began
), foreign_below AS MATERIALIZED ( -- periods that contain one in a currency which they do not have: nobody can tell what it explains
    SELECT DISTINCT o.number, o.period_start, o.period_end
    FROM among_currencies o JOIN among_currencies i USING (number, knot)
    WHERE o.holds_others AND o.period_start <= i.period_start AND i.period_end <= o.period_end
      AND (o.number, o.period_start, o.period_end, i.currency) NOT IN (SELECT number, period_start, period_end, currency FROM among_currencies)
), began AS (
    SELECT *, coalesce(max(period_end) OVER (PARTITION BY number, currency ORDER BY period_start, period_end DESC
                                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) <= period_start, true) AS begins
    FROM tangled_rows
    WHERE (NOT EXISTS (SELECT FROM overlapped) OR (number, period_start, period_end) NOT IN (SELECT * FROM overlapped))
      AND (NOT EXISTS (SELECT FROM foreign_below) OR (number, period_start, period_end) NOT IN (SELECT * FROM foreign_below))
), numbered AS MATERIALIZED (
    SELECT *, row_number() OVER () AS n,
           count(*) FILTER (WHERE begins) OVER (PARTITION BY number, currency ORDER BY period_start, period_end DESC
                                                ROWS UNBOUNDED PRECEDING) AS knot
    FROM began
), untangled AS MATERIALIZED (
    SELECT j.*, u.above, u.above_collected
    FROM (
        SELECT t.ns[u.place] AS n, t.ns[u.above] AS above, t.collected[u.above] AS above_collected
        FROM (
            SELECT array_agg(n ORDER BY period_start, period_end DESC) AS ns,
                   array_agg(period_start ORDER BY period_start, period_end DESC) AS starts,
                   array_agg(period_end ORDER BY period_start, period_end DESC) AS ends,
                   array_agg(collected_at ORDER BY period_start, period_end DESC) AS collected
            FROM numbered GROUP BY number, currency, knot
        ) AS t, LATERAL public.boris_ingestd_untangle(t.starts, t.ends, t.collected) AS u
    ) AS u JOIN numbered j ON j.n = u.n
), restated AS MATERIALIZED ( -- inner periods that were collected again after what contains them: as they were then
    SELECT upper_ids[o.place] AS n, sum(o.amount_cents - coalesce(amounts[o.place], 0)) AS amount_change,
           sum(o.impressions - coalesce(impressions_now[o.place], 0)) AS impressions_change,
           sum(o.clicks - coalesce(clicks_now[o.place], 0)) AS clicks_change,
           sum(o.conversions - coalesce(conversions_now[o.place], 0)) AS conversions_change
    FROM (
        SELECT array_agg(u.above) AS upper_ids, array_agg(t.object_id) AS objects, array_agg(u.period_start) AS starts,
               array_agg(u.period_end) AS ends, array_agg(u.currency) AS currencies, array_agg(u.above_collected) AS moments,
               array_agg(u.amount_cents) AS amounts, array_agg(u.impressions) AS impressions_now,
               array_agg(u.clicks) AS clicks_now, array_agg(u.conversions) AS conversions_now
        FROM untangled u JOIN tree t USING (number) WHERE u.collected_before >= u.above_collected GROUP BY number
    ) AS asked, LATERAL public.boris_ingestd_as_of(objects, starts, ends, currencies, moments) AS o
    GROUP BY 1
), explained AS MATERIALIZED (
    SELECT n, latest_below, amount_below + coalesce(amount_change, 0) AS amount_below,
           coalesce(impressions_below, 0) + coalesce(impressions_change, 0) AS impressions_below,
           coalesce(clicks_below, 0) + coalesce(clicks_change, 0) AS clicks_below,
           coalesce(conversions_below, 0) + coalesce(conversions_change, 0) AS conversions_below
    FROM (
        SELECT above AS n, max(collected_at) AS latest_below, sum(amount_cents) AS amount_below,
               sum(impressions) AS impressions_below, sum(clicks) AS clicks_below, sum(conversions) AS conversions_below
        FROM untangled WHERE above IS NOT NULL GROUP BY above
    ) AS inner_periods LEFT JOIN restated USING (n)
), any_piece AS NOT MATERIALIZED (
    SELECT number, period_start, period_end, collected_at, collected_before, currency, amount_cents, impressions, clicks,
           conversions, records, fractional, breakdown, outside, NULL::text AS part
    FROM alone
    WHERE (container IS NOT NULL OR NOT (SELECT containers FROM there))
      AND (NOT EXISTS (SELECT FROM tangled) OR number NOT IN (SELECT number FROM tangled))
    UNION ALL
    SELECT l.number, l.period_start, l.period_end, l.collected_at, CASE WHEN b.number IS NULL THEN l.collected_before END, l.currency,
           CASE WHEN b.number IS NULL THEN amount_cents
           ELSE public.boris_ingestd_remainder(amount_cents, amount_below, latest_below > collected_at) END,
           CASE WHEN b.number IS NULL THEN impressions
           ELSE public.boris_ingestd_remainder(impressions, impressions_below, latest_below > collected_at) END,
           CASE WHEN b.number IS NULL THEN clicks
           ELSE public.boris_ingestd_remainder(clicks, clicks_below, latest_below > collected_at) END,
           CASE WHEN b.number IS NULL THEN conversions
           ELSE public.boris_ingestd_remainder(conversions, conversions_below, latest_below > collected_at) END,
           l.records, l.fractional, l.breakdown, l.outside, CASE WHEN b.number IS NOT NULL THEN 'not attributed to shorter periods' END
    FROM (
        SELECT * FROM alone WHERE container IS NULL AND (SELECT containers FROM there)
        UNION ALL
        SELECT * FROM others
    ) AS l LEFT JOIN below b ON l.container IS NULL AND b.number = l.number AND b.container = l.period_end AND b.currency = l.currency
    WHERE NOT EXISTS (SELECT FROM tangled) OR l.number NOT IN (SELECT number FROM tangled)
    UNION ALL
    SELECT u.number, u.period_start, u.period_end, u.collected_at, u.collected_before, u.currency,
           u.amount_cents, u.impressions, u.clicks, u.conversions, u.records, u.fractional, u.breakdown, u.outside, NULL
    FROM untangled u WHERE NOT EXISTS (SELECT FROM explained e WHERE e.n = u.n)
    UNION ALL
    SELECT u.number, u.period_start, u.period_end, u.collected_at, NULL, u.currency,
           public.boris_ingestd_remainder(u.amount_cents, e.amount_below, e.latest_below > u.collected_at),
           public.boris_ingestd_remainder(u.impressions, e.impressions_below, e.latest_below > u.collected_at),
           public.boris_ingestd_remainder(u.clicks, e.clicks_below, e.latest_below > u.collected_at),
           public.boris_ingestd_remainder(u.conversions, e.conversions_below, e.latest_below > u.collected_at),
           u.records, u.fractional, u.breakdown, u.outside, 'not attributed to shorter periods'
    FROM untangled u JOIN explained e ON e.n = u.n
), piece AS NOT MATERIALIZED (
    SELECT * FROM any_piece
    WHERE NOT EXISTS (SELECT FROM foreign_below) OR (number, period_start, period_end) NOT IN (SELECT * FROM foreign_below)
),
$sql$ $outer$;

-- Each stored row of an object, of the periods that begin in the range, and why it counts or not. An account's own days.
CREATE OR REPLACE FUNCTION boris_ingestd_explain(
    from_day date, to_day date, account uuid, object uuid,
    from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL)
RETURNS TABLE (
    period_start timestamptz, period_end timestamptz, collected_at timestamptz, currency text, amount_cents bigint,
    breakdown text, counted numeric, reason text)
LANGUAGE sql STABLE AS $$
WITH latest AS MATERIALIZED (
    SELECT l.*, public.boris_ingestd_period_end(l.period_end) AS ends
    FROM public.boris_ingestd_latest($1, $2, $3, $4, $5, $6) AS l WHERE l.object_id = $4
), piece AS MATERIALIZED (
    SELECT * FROM public.boris_ingestd_spending($1, $2, $3, $4, $5, $6) WHERE object_id = $4
), found AS (
    SELECT s.period_start, public.boris_ingestd_period_end(s.period_end) AS ends, s.period_end, s.collected_at, s.currency,
           s.amount_cents, public.boris_ingestd_shape(s.metrics) AS shape, o.place
    FROM public.spending s JOIN public.boris_ingestd_objects($3, $4) o ON o.id = s.ad_object_id AND o.object_id = $4
    WHERE s.period_start >= coalesce($5, public.boris_ingestd_day_start($1, o.zone))
      AND s.period_start < coalesce($6, public.boris_ingestd_day_start($2, o.zone))
), stored AS (
    SELECT g.period_start, g.ends, g.collected_at, r.period_end, r.currency, r.amount_cents, nullif(r.breakdown, '') AS breakdown,
           cardinality(g.shapes) = 1 AS is_alone, g.place > min(g.place) OVER (PARTITION BY g.period_start, g.ends, g.collected_at) AS is_again
    FROM (SELECT period_start, ends, collected_at, place, array_agg(period_end) AS period_ends, array_agg(currency) AS currencies,
                 array_agg(amount_cents) AS amounts, array_agg(shape) AS shapes
          FROM found GROUP BY period_start, ends, collected_at, place) AS g,
         LATERAL unnest(g.period_ends, g.currencies, g.amounts, public.boris_ingestd_families(g.shapes, g.amounts))
             AS r (period_end, currency, amount_cents, breakdown)
), judged AS (
    SELECT s.period_start, s.period_end, s.ends, s.collected_at, s.currency, s.amount_cents, s.breakdown, p.part, p.period_end AS piece_end,
           p.amount_cents AS piece_amount, l.collected_at IS NOT NULL AND NOT s.is_again AND p.object_id IS NOT NULL AS counts,
           CASE
           WHEN s.collected_at < s.period_start - interval '744 hours' THEN 'left out: collected more than 31 days before its period began'
           WHEN l.collected_at IS NULL AND s.collected_at < n.collected_at
           THEN 'left out: restated, collected again at ' || to_char(n.collected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
           WHEN l.collected_at IS NULL
           THEN 'left out: another breakdown of the same collection counts: ' || coalesce(n.breakdown, 'the total')
           WHEN s.is_again THEN 'left out: the same collection of another platform connection counts'
           WHEN p.object_id IS NOT NULL AND p.part IS NULL THEN 'counts'
           WHEN p.object_id IS NOT NULL THEN 'counts in part: what is ' || p.part
           WHEN EXISTS (SELECT FROM latest o WHERE s.period_start < o.ends AND o.period_start < s.ends AND o.collected_at >= s.collected_at
                        AND NOT (o.period_start <= s.period_start AND s.ends <= o.ends)
                        AND NOT (s.period_start <= o.period_start AND o.ends <= s.ends))
           THEN 'left out: overlaps a period that was collected later'
           WHEN EXISTS (SELECT FROM latest o WHERE s.period_start <= o.period_start AND o.ends <= s.ends
                        AND (o.period_start, o.ends) <> (s.period_start, s.ends))
           THEN 'left out: its shorter periods explain all of it'
           ELSE 'left out: the ads below explain all of it'
           END AS reason
    FROM stored s
    LEFT JOIN LATERAL (SELECT * FROM latest n WHERE n.period_start = s.period_start AND n.ends = s.ends
                       ORDER BY n.currency = s.currency DESC LIMIT 1) AS n ON true
    LEFT JOIN latest l ON l.period_start = s.period_start AND l.ends = s.ends AND l.collected_at = s.collected_at
         AND l.currency = s.currency AND (l.breakdown IS NOT DISTINCT FROM s.breakdown OR s.is_alone AND l.breakdown IS NULL)
    LEFT JOIN LATERAL (SELECT * FROM piece p WHERE p.currency = s.currency AND p.period_start = s.period_start AND
                       CASE WHEN p.part IS NULL THEN p.period_end = s.ends ELSE p.period_end >= s.ends END
                       ORDER BY p.part IS NULL DESC LIMIT 1) AS p ON true
)
SELECT period_start, period_end, collected_at, currency, amount_cents, breakdown,
       CASE WHEN NOT counts THEN 0
       WHEN part IS NULL THEN amount_cents
       -- rows that share a remainder: each its part of it
       WHEN sum(amount_cents) OVER piece = 0 THEN CASE WHEN row_number() OVER so_far = 1 THEN piece_amount ELSE 0 END
       ELSE round(piece_amount * sum(amount_cents) OVER so_far / sum(amount_cents) OVER piece)
            - round(piece_amount * (sum(amount_cents) OVER so_far - amount_cents) / sum(amount_cents) OVER piece)
       END, reason
FROM judged
WINDOW piece AS (PARTITION BY counts, period_start, piece_end, currency),
       so_far AS (PARTITION BY counts, period_start, piece_end, currency ORDER BY ends, collected_at, breakdown, amount_cents DESC ROWS UNBOUNDED PRECEDING)
ORDER BY period_start, ends, collected_at, breakdown, amount_cents DESC
$$;
