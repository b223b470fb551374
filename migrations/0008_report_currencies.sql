-- The report's rules again: campaigns and days with money in several currencies lost what their ads and hours do not explain, or it
-- counted twice, and breakdowns are read at less cost. Replaces functions of 0005_report_speed.sql and 0007_report_truth.sql.

-- What was collected last, as CTEs. Columns that are NULL in most rows keep rows short: records and fractional are NULL for one
-- record, and for none.
CREATE OR REPLACE FUNCTION boris_ingestd_sql_of_latest() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $outer$ SELECT $sql$
WITH several AS MATERIALIZED (
    SELECT * FROM public.boris_ingestd_newest($1, $2, $3, $4, $5, $6)
), present AS MATERIALIZED ( -- what there is of each object: what there is not, is not looked for below
    SELECT number, bool_or(has_more) AS has_more, bool_or(tangled) AS tangled, max(container) AS container,
           max(period_end) FILTER (WHERE reaches_out AND outside IS NOT TRUE) AS reach,
           min(currency COLLATE "C") <> max(currency COLLATE "C") AS currencies
    FROM several GROUP BY number
), rest AS MATERIALIZED (
    SELECT l.*
    FROM (SELECT max(reach) AS until FROM present WHERE $7) AS reach,
         LATERAL public.boris_ingestd_behind($2, $6, reach.until, $3, $4) AS l
    WHERE reach.until IS NOT NULL
), there AS MATERIALIZED (
    SELECT bool_or(has_more) OR EXISTS (SELECT FROM rest WHERE has_more) AS breakdowns,
           max(container) IS NOT NULL OR EXISTS (SELECT FROM rest WHERE container IS NOT NULL) AS containers
    FROM present
),
-- Breakdowns: one family of each object, period and collection.
doubled AS MATERIALIZED (
    SELECT row_number() OVER () AS n, number, place, period_start, period_end, collected_at, outside, container
    FROM (
        SELECT number, place, period_start, period_end, collected_at, outside, container
        FROM several WHERE has_more AND (SELECT breakdowns FROM there)
        UNION ALL
        SELECT number, place, period_start, period_end, collected_at, outside, container FROM rest WHERE has_more
    ) AS d
), shaped AS ( -- where there are known dimensions, the keys do as a shape: which values are text does not matter
    SELECT m.n, nullif(s.period_end, m.period_end) AS stored_end, s.currency, s.amount_cents, s.impressions, s.clicks,
           s.conversions, public.boris_ingestd_fractional(s.conversions, s.metrics) AS fractional,
           CASE WHEN (s.metrics ?| '{age,gender,country,region,publisher_platform,platform_position,impression_device,device}'
                      OR s.metrics ?| public.boris_ingestd_dimension_names())
                     AND NOT s.metrics @@ 'strict $.* == null || $.*.type() == "object"'
           THEN '-' || array_to_string(ARRAY(SELECT jsonb_object_keys(CASE jsonb_typeof(s.metrics) WHEN 'object' THEN s.metrics END)), E'\n-')
           ELSE public.boris_ingestd_shape(s.metrics) END COLLATE "C" AS shape
    FROM doubled m
    JOIN (SELECT id, number, nullif(place, 1) AS place FROM public.boris_ingestd_objects($3, $4)) AS o
        ON o.number = m.number AND CASE WHEN o.place IS NOT DISTINCT FROM m.place THEN true ELSE false END
    -- coalesce() keeps indexes out of this join: one scan and a hash table, whatever the planner guesses
    JOIN public.spending s ON coalesce(s.ad_object_id, s.id) = o.id AND s.period_start = m.period_start
    WHERE (SELECT breakdowns FROM there)
      AND CASE WHEN s.collected_at = m.collected_at AND public.boris_ingestd_period_end(s.period_end) = m.period_end
          THEN true ELSE false END -- one condition: the planner would multiply its guesses of two
      AND s.collected_at >= (coalesce($5 AT TIME ZONE 'UTC', $1::timestamp - interval '15 hours') - interval '31 days')
                            AT TIME ZONE 'UTC'
    OFFSET 0 -- metrics are not sorted
), of_shape AS MATERIALIZED (
    SELECT n, shape, currency, max(stored_end) AS stored_end, sum(amount_cents) AS amount_cents, sum(impressions) AS impressions,
           sum(clicks) AS clicks, sum(conversions) AS conversions, count(*) AS records,
           count(*) FILTER (WHERE fractional) AS fractional
    FROM shaped GROUP BY n, shape, currency
), shapes AS MATERIALIZED (
    SELECT shape, d.known, d.whole, d.texts, cardinality(string_to_array(d.known, ', ')) AS dimensions
    FROM (SELECT DISTINCT shape FROM of_shape) AS s, LATERAL public.boris_ingestd_dimensions(s.shape) AS d
), alike AS MATERIALIZED ( -- whether each shape is a family, in one currency: then nothing needs to be added up again
    SELECT count(DISTINCT known) = count(*) AND bool_and(known = whole AND (known <> '' OR texts = ''))
           AND (SELECT min(currency COLLATE "C") = max(currency COLLATE "C") FROM of_shape) AS alike
    FROM shapes
), without_value AS (
    SELECT DISTINCT g.n, r.shape, r.family
    FROM (SELECT n, array_agg(shape) AS shapes, array_agg(amount_cents) AS amounts FROM of_shape
          WHERE n IN (SELECT n FROM of_shape JOIN shapes USING (shape) WHERE known <> whole) GROUP BY n) AS g,
         LATERAL unnest(g.shapes, public.boris_ingestd_families(g.shapes, g.amounts)) AS r (shape, family)
    WHERE EXISTS (SELECT FROM shapes WHERE known <> whole)
), of_family AS (
    SELECT n, family, currency, max(stored_end) AS stored_end,
           sum(amount_cents) AS amount_cents, sum(impressions) AS impressions, sum(clicks) AS clicks,
           sum(conversions) AS conversions, sum(records)::bigint AS records, sum(fractional)::bigint AS fractional,
           max(abs(sum(amount_cents))) OVER (PARTITION BY n, family) AS largest
    FROM (
        SELECT o.*, coalesce(w.family, CASE WHEN bool_or(d.known <> '') OVER (PARTITION BY n) THEN d.known ELSE d.texts END) COLLATE "C" AS family
        FROM of_shape o JOIN shapes d USING (shape) LEFT JOIN without_value w USING (n, shape) WHERE NOT (SELECT alike FROM alike)
    ) AS o
    GROUP BY n, family, currency
), chosen AS (
    (SELECT DISTINCT ON (n) n, d.known AS family, currency, stored_end, amount_cents, impressions, clicks, conversions, records, fractional
     FROM of_shape JOIN shapes d USING (shape) WHERE (SELECT alike FROM alike)
     ORDER BY n, d.known <> '', abs(amount_cents) DESC, d.dimensions, d.known COLLATE "C")
    UNION ALL
    SELECT n, family, currency, stored_end, amount_cents, impressions, clicks, conversions, records, fractional
    FROM (
        SELECT *, dense_rank() OVER (PARTITION BY n ORDER BY family <> '', largest DESC, cardinality(string_to_array(family, ', ')), family) AS choice
        FROM of_family
    ) AS f WHERE choice < 2
), family AS MATERIALIZED (
    SELECT d.number, d.period_start, d.period_end, c.stored_end, d.collected_at, d.collected_at AS collected_before, c.currency,
           c.amount_cents, c.impressions, c.clicks, c.conversions, c.records, nullif(c.fractional, 0) AS fractional,
           nullif(c.family, '') AS breakdown, d.outside, d.container
    FROM chosen c JOIN doubled d USING (n)
),
$sql$ $outer$;

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
), began AS (
    SELECT *, coalesce(max(period_end) OVER (PARTITION BY number, currency ORDER BY period_start, period_end DESC
                                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) <= period_start, true) AS begins
    FROM latest WHERE EXISTS (SELECT FROM tangled) AND number IN (SELECT number FROM tangled)
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
), among_currencies AS MATERIALIZED (
    SELECT number, period_start, period_end, currency, container FROM latest
    WHERE (SELECT containers FROM there) AND number IN (
        SELECT number FROM present WHERE currencies
        UNION ALL SELECT number FROM rest
        UNION ALL SELECT number FROM family GROUP BY number HAVING min(currency COLLATE "C") <> max(currency COLLATE "C"))
), foreign_below AS MATERIALIZED ( -- periods that contain one in a currency which they do not have: nobody can tell what it explains
    SELECT DISTINCT o.number, o.period_start, o.period_end
    FROM among_currencies o JOIN among_currencies i ON i.number = o.number AND i.container = o.period_end
    WHERE o.container IS NULL AND o.period_start <= i.period_start AND i.period_end <= o.period_end
      AND (o.number, o.period_start, o.period_end, i.currency) NOT IN (SELECT number, period_start, period_end, currency FROM among_currencies)
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

-- One level of the hierarchy, 'ad_set' or 'campaign', as CTEs: the rows of "@level_own" take the place of the level's own rows
-- in @source. Each has what the rows below it do not explain. Where the rows below have a currency that the level's own rows do not
-- cover ("open"), the own rows in other currencies do not count: nobody can tell how much of them is explained.
CREATE OR REPLACE FUNCTION boris_ingestd_sql_of_level(level text, source text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $outer$ SELECT replace(replace($sql$
in_@level_periods AS ( -- what one has, and what the objects below it have, of each period
    SELECT @level, true AS own, period_start, period_end, currency, collected_at, collected_before, outside, breakdown,
           coalesce(records, 1) AS records, fractional, amount_cents, impressions, clicks, conversions
    FROM @source WHERE number = @level
    UNION ALL
    SELECT @level, false, period_start, period_end, currency, max(collected_at), max(collected_before) FILTER (WHERE part IS NULL),
           NULL, NULL, NULL, NULL, sum(amount_cents), sum(impressions), sum(clicks), sum(conversions)
    FROM @source WHERE number <> @level GROUP BY @level, period_start, period_end, currency
), in_@level_rows AS MATERIALIZED ( -- periods that hang together have the same stretch
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY @level ORDER BY period_start ROWS UNBOUNDED PRECEDING) AS stretch
    FROM (
        SELECT *, coalesce(max(period_end) OVER (PARTITION BY @level ORDER BY period_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                           <= period_start, true) AS begins
        FROM in_@level_periods
    ) AS began
), in_@level_sums AS MATERIALIZED (
    SELECT *, sum(is_open) OVER (PARTITION BY @level, stretch) > is_open AS other_open
    FROM (
        SELECT *, CASE WHEN below > 0 AND coalesce(own_is_shorter, true) THEN 1 ELSE 0 END AS is_open
        FROM (
            SELECT @level, stretch, currency, count(*) FILTER (WHERE NOT own) AS below,
                   min(collected_at) FILTER (WHERE own) AS own_collected, max(collected_at) FILTER (WHERE NOT own) AS latest_below,
                   max(collected_before) FILTER (WHERE NOT own) AS latest_before,
                   min(period_start) FILTER (WHERE own) AS own_start, max(period_end) FILTER (WHERE own) AS own_end,
                   bool_or(outside) FILTER (WHERE own) AS own_outside, min(breakdown) FILTER (WHERE own) AS breakdown,
                   sum(records) FILTER (WHERE own) AS records, sum(fractional) FILTER (WHERE own) AS fractional,
                   sum(period_end - period_start) FILTER (WHERE own) < max(period_end) - min(period_start) AS own_is_shorter,
                   sum(amount_cents) FILTER (WHERE own) AS own_amount, sum(impressions) FILTER (WHERE own) AS own_impressions,
                   sum(clicks) FILTER (WHERE own) AS own_clicks, sum(conversions) FILTER (WHERE own) AS own_conversions,
                   sum(amount_cents) FILTER (WHERE NOT own) AS amount_below, sum(impressions) FILTER (WHERE NOT own) AS impressions_below,
                   sum(clicks) FILTER (WHERE NOT own) AS clicks_below, sum(conversions) FILTER (WHERE NOT own) AS conversions_below
            FROM in_@level_rows GROUP BY @level, stretch, currency
        ) AS added
    ) AS summed
), in_@level_restated AS MATERIALIZED ( -- what was collected again after the level's own row: as it was then
    SELECT @level, stretches[o.place] AS stretch, currencies[o.place] AS currency,
           sum(o.amount_cents - coalesce(amounts[o.place], 0)) AS amount_change,
           sum(o.impressions - coalesce(impressions_now[o.place], 0)) AS impressions_change,
           sum(o.clicks - coalesce(clicks_now[o.place], 0)) AS clicks_change,
           sum(o.conversions - coalesce(conversions_now[o.place], 0)) AS conversions_change
    FROM (
        SELECT s.@level, array_agg(stretch) AS stretches, array_agg(t.object_id) AS objects, array_agg(r.period_start) AS starts,
               array_agg(r.period_end) AS ends, array_agg(currency) AS currencies, array_agg(s.own_collected) AS moments,
               array_agg(r.amount_cents) AS amounts, array_agg(r.impressions) AS impressions_now,
               array_agg(r.clicks) AS clicks_now, array_agg(r.conversions) AS conversions_now
        FROM in_@level_sums s JOIN in_@level_rows p USING (@level, stretch, currency)
        JOIN @source r USING (@level, period_start, period_end, currency) JOIN tree t ON t.number = r.number
        WHERE NOT p.own AND r.number <> r.@level AND r.part IS NULL AND r.collected_before >= s.own_collected
          AND (SELECT bool_or(latest_before >= own_collected) FROM in_@level_sums)
        GROUP BY s.@level
    ) AS asked, LATERAL public.boris_ingestd_as_of(objects, starts, ends, currencies, moments) AS o
    GROUP BY 1, 2, 3
), in_@level_rest AS (
    SELECT @level, own_start, own_end, own_collected, currency, records::bigint, fractional::bigint, breakdown, own_outside,
           campaign_of,
           public.boris_ingestd_remainder(own_amount, coalesce(amount_below, 0) + coalesce(amount_change, 0), later) AS amount,
           public.boris_ingestd_remainder(own_impressions, coalesce(impressions_below, 0) + coalesce(impressions_change, 0), later) AS impressions,
           public.boris_ingestd_remainder(own_clicks, coalesce(clicks_below, 0) + coalesce(clicks_change, 0), later) AS clicks,
           public.boris_ingestd_remainder(own_conversions, coalesce(conversions_below, 0) + coalesce(conversions_change, 0), later) AS conversions
    FROM (SELECT *, latest_below > own_collected OR own_is_shorter AS later FROM in_@level_sums) AS s
    JOIN (SELECT number, campaign AS campaign_of FROM upper) AS u ON u.number = s.@level
    LEFT JOIN in_@level_restated r USING (@level, stretch, currency)
    WHERE own_collected IS NOT NULL AND below > 0 AND NOT other_open
), @level_own AS MATERIALIZED (
    SELECT * FROM @source
    WHERE number = @level AND (@level, period_start, period_end, currency) IN (
        SELECT @level, period_start, period_end, currency FROM in_@level_rows JOIN in_@level_sums USING (@level, stretch, currency)
        WHERE own AND below = 0 AND NOT other_open)
    UNION ALL
    SELECT @level, own_start, own_end, own_collected, NULL, currency, amount, impressions, clicks, conversions, records, fractional,
           breakdown, own_outside, 'not attributed to ads', NULL::integer, campaign_of
    FROM in_@level_rest
    WHERE (amount, coalesce(impressions, 0), coalesce(clicks, 0), coalesce(conversions, 0)) <> (0, 0, 0, 0)
)$sql$, '@level', level), '@source', source) $outer$;
