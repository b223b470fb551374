-- The report's rules as a loop over sorted rows instead of one query of forty parts. Reports on one object are up to seven times as
-- fast, others up to 2.4 times (tests/load/README.md). From a period that begins before the range and ends after it, all periods in it
-- are now subtracted, those after the range included. Replaces functions of 0003, 0005, 0007, 0008 and 0009.

DROP FUNCTION boris_ingestd_pieces(date, date, uuid, uuid, timestamptz, timestamptz, boolean);
DROP FUNCTION boris_ingestd_newest(date, date, uuid, uuid, timestamptz, timestamptz);
DROP FUNCTION boris_ingestd_behind(date, timestamptz, timestamptz, uuid, uuid);
DROP FUNCTION boris_ingestd_sql_of_latest();
DROP FUNCTION boris_ingestd_sql_of_periods();

-- What counts of an object in a period, in one currency. While it is worked out: a stored row, or the sum of the rows of one breakdown.
CREATE TYPE boris_ingestd_piece AS (
    object_id uuid, period_start timestamptz, period_end timestamptz, collected_at timestamptz,
    collected_before timestamptz, -- when the collection before it was collected
    currency text, amount_cents numeric, impressions numeric, clicks numeric, conversions numeric, records bigint, fractional bigint,
    breakdown text, part text,
    outside boolean,              -- true if it begins outside of the range, else NULL
    reaches_out boolean,          -- true if it ends after the range, else NULL
    stored_end timestamptz,       -- the period's end as stored, if it differs
    place bigint,                 -- rank of the platform connection, NULL for the first
    shape text, known text, whole text, texts text, -- only in sums: see boris_ingestd_shape and boris_ingestd_dimensions
    done_until timestamptz        -- the object's pieces that end by then are returned already
);

-- --- the stream ---

-- An expression that serves as boris_ingestd_shape(s.metrics), at less cost for most rows. With a known dimension, the keys suffice: it does
-- not matter which values are text. Rows with the keys of one of @shapes are recognised without listing keys.
CREATE FUNCTION boris_ingestd_sql_of_shape(shapes text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $outer$
SELECT $sql$CASE WHEN (s.metrics ?| '{age,gender,country,region,publisher_platform,platform_position,impression_device,device}'
                OR s.metrics ?| public.boris_ingestd_dimension_names())
               AND NOT s.metrics @@ 'strict $.* == null || $.*.type() == "object"'
     THEN CASE WHEN false THEN '' $sql$ || coalesce((
         SELECT string_agg(format('WHEN s.metrics ?& %1$L AND s.metrics - %1$L::text[] = ''{}'' THEN %2$L ',
                                  ARRAY(SELECT substr(key, 2) FROM regexp_split_to_table(shape, E'\n') AS key), shape), '')
         FROM unnest(shapes) AS shape WHERE shape ~ '^-' AND shape !~ '(^|\n)[0t]'), '') || $sql$
          ELSE '-' || array_to_string(ARRAY(SELECT jsonb_object_keys(CASE jsonb_typeof(s.metrics) WHEN 'object' THEN s.metrics END)), E'\n-') END
     ELSE public.boris_ingestd_shape(s.metrics) END COLLATE "C"$sql$
$outer$;

-- The query that returns rows sorted by object and period: of periods that begin together the longest first, of a period the last
-- collection first. Its parameters are those of boris_ingestd_pieces, and those named below. @pass:
--     single   stored rows as they are
--     added    sums of the rows that have one shape; only of the objects $8 from the times $9 on and, if @switched, of those with an id above $11
--     behind   the same, of what begins after the range and before $12, and of the objects $8 from the times $9 on
-- @several: platform connections share an account. @one_range: days are the same moments, $13 and $14, in all accounts. @of_account: only
-- the account $3 is read. @narrow: only the objects $15 are read, by the index on ad_object_id; else coalesce() keeps that index out, since
-- sorting a whole table costs less than reading it in the order of an index, unless all of it is in memory. $7: periods' ends as stored.
--
-- A restatement may come at any time after its period began, so all later chunks are read. Earlier chunks are skipped: a row that was
-- collected more than 31 days before its period began is a plan, and does not count.
CREATE FUNCTION boris_ingestd_sql_of_stream(
    pass text, several boolean, one_range boolean, of_account boolean, narrow boolean, switched boolean, shapes text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $outer$
SELECT replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
    CASE pass WHEN 'single' THEN $sql$
SELECT @object AS object_id, s.period_start, @period_end AS period_end, s.collected_at, NULL::timestamptz AS collected_before,
       s.currency, s.amount_cents::numeric, s.impressions::numeric, s.clicks::numeric, s.conversions::numeric, 1::bigint AS records,
       CASE WHEN public.boris_ingestd_fractional(s.conversions, s.metrics) THEN 1::bigint ELSE 0::bigint END AS fractional,
       NULL::text AS breakdown, NULL::text AS part, CASE WHEN s.period_start < @begin THEN true END AS outside,
       CASE WHEN s.period_end > @finish THEN true END AS reaches_out,
       CASE WHEN $7 AND s.period_end <> @period_end THEN s.period_end END AS stored_end,
       @place AS place, NULL::text AS shape, NULL::text AS known, NULL::text AS whole, NULL::text AS texts, NULL::timestamptz AS done_until
FROM @from
ORDER BY 1, 2, 3 DESC, 4 DESC@by_place
$sql$ ELSE $sql$
SELECT object_id, period_start, period_end, collected_at, NULL::timestamptz, currency, sum(amount_cents), sum(impressions), sum(clicks),
       sum(conversions), count(*), count(*) FILTER (WHERE fractional), NULL::text, NULL::text, outside, reaches_out, max(stored_end), place,
       shape, NULL::text, NULL::text, NULL::text, done_until
FROM (
    SELECT @object AS object_id, s.period_start, @period_end AS period_end, s.collected_at, s.currency, s.amount_cents,
           s.impressions, s.clicks, s.conversions, public.boris_ingestd_fractional(s.conversions, s.metrics) AS fractional,
           CASE WHEN s.period_start < @begin OR s.period_start >= @finish THEN true END AS outside,
           CASE WHEN s.period_end > @finish THEN true END AS reaches_out,
           CASE WHEN $7 AND s.period_end <> @period_end THEN s.period_end END AS stored_end, @place AS place,
           @shape AS shape, todo.done_until
    FROM @from
    OFFSET 0 -- metrics are not sorted
) AS r
GROUP BY object_id, period_start, period_end, collected_at, currency, outside, reaches_out, place, shape, done_until
ORDER BY 1, 2, 3 DESC, 4 DESC@by_place
$sql$ END, '@from', $sql$public.spending s @objects @todo
WHERE s.collected_at >= (coalesce($5 AT TIME ZONE 'UTC', $1::timestamp - interval '15 hours') - interval '31 days') AT TIME ZONE 'UTC'
  AND s.period_start < coalesce($12, $6, ($2::timestamp + interval '15 hours') AT TIME ZONE 'UTC')
  AND s.period_end > coalesce($5, ($1::timestamp - interval '15 hours') AT TIME ZONE 'UTC')
  -- one condition: the planner would multiply its guesses of three
  AND CASE WHEN s.period_start < coalesce($12, @finish) AND s.period_end > @begin AND s.collected_at >= s.period_start - interval '744 hours'
      THEN true ELSE false END$sql$
    || CASE WHEN narrow THEN ' AND s.ad_object_id = ANY ($15)' ELSE '' END
    || CASE WHEN pass = 'behind' THEN ' AND (s.period_start >= @finish OR s.period_start >= todo.start)'
       WHEN pass = 'added' AND switched THEN ' AND (@object > $11 OR @resumed)'
       WHEN pass = 'added' AND NOT several THEN ' AND s.ad_object_id = ANY ($8)' ELSE '' END),
    '@todo', CASE WHEN pass = 'single' THEN ''
             ELSE CASE WHEN pass = 'behind' OR switched THEN 'LEFT JOIN' ELSE 'JOIN' END
                  || ' unnest($8, $9, $10) AS todo (id, start, done_until) ON todo.id = @object'
                  || CASE WHEN pass = 'behind' OR switched THEN '' ELSE ' AND @resumed' END END),
    -- the period that was read when an object was deferred to this pass is the first one; of the latest, it is the longest of its start
    '@resumed', 's.period_start >= todo.start AND (NOT $7 OR s.period_start > todo.start OR @period_end <= todo.done_until)'),
    '@objects', CASE WHEN several THEN $sql$JOIN (
    SELECT id, object_id, nullif(place, 1) AS place, coalesce($5, public.boris_ingestd_day_start($1, zone)) AS from_at,
           coalesce($6, public.boris_ingestd_day_start($2, zone)) AS to_at
    FROM public.boris_ingestd_objects($3, $4)) AS o ON o.id = s.ad_object_id$sql$
    WHEN NOT one_range THEN $sql$JOIN (
    SELECT o.id, max(coalesce($5, public.boris_ingestd_day_start($1, a.zone))) AS from_at,
           max(coalesce($6, public.boris_ingestd_day_start($2, a.zone))) AS to_at
    FROM public.ad_objects o JOIN (SELECT id, coalesce(zone, 'UTC') AS zone FROM public.boris_ingestd_accounts() OFFSET 0) AS a
        ON a.id = o.ad_account_id GROUP BY o.id) AS o ON o.id = s.ad_object_id$sql$
    WHEN of_account THEN 'JOIN public.ad_objects o ON o.id = s.ad_object_id AND o.ad_account_id = $3' ELSE '' END),
    '@object', CASE WHEN several THEN 'o.object_id' ELSE 'coalesce(s.ad_object_id, s.id)' END),
    '@place', CASE WHEN several THEN 'o.place' ELSE 'NULL::bigint' END),
    '@period_end', 'public.boris_ingestd_period_end(s.period_end)'),
    '@begin', CASE WHEN one_range AND NOT several THEN '$13' ELSE 'o.from_at' END),
    '@finish', CASE WHEN one_range AND NOT several THEN '$14' ELSE 'o.to_at' END),
    '@by_place', CASE WHEN several THEN ', place NULLS FIRST' ELSE '' END),
    '@shape', public.boris_ingestd_sql_of_shape(shapes)) -- last: it holds names that clients chose
$outer$;

-- --- accounts and objects ---

-- As before, but an account has one zone, that of its first platform connection: else an hour at a range's edge could count
-- in two days.
CREATE OR REPLACE FUNCTION boris_ingestd_objects(account uuid, object uuid)
RETURNS TABLE (id uuid, object_id uuid, number integer, parent_id uuid, place bigint, zone text, platform public.platform, account_external_id text,
               external_id text, type public.ad_object_type, name text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH account AS (
    SELECT id, platform, external_id, first_value(coalesce(zone, 'UTC')) OVER (PARTITION BY platform, external_id ORDER BY place) AS zone,
           row_number() OVER (PARTITION BY platform, external_id ORDER BY place) AS place
    FROM public.boris_ingestd_accounts() WHERE $1 IS NULL OR id = $1
), known AS MATERIALIZED (
    SELECT o.id, o.parent_id, a.place, a.zone, a.platform, a.external_id AS account_external_id, o.external_id, o.type, o.name,
           first_value(o.id) OVER (PARTITION BY a.platform, a.external_id, o.external_id ORDER BY a.place) AS object_id
    FROM account a JOIN public.ad_objects o ON o.ad_account_id = a.id
    LEFT JOIN public.ad_objects p ON p.id = o.parent_id
    WHERE $2 IS NULL OR $2 IN (o.id, o.parent_id, p.parent_id)
)
SELECT k.id, k.object_id, (dense_rank() OVER (ORDER BY k.object_id))::integer, p.object_id, k.place, k.zone, k.platform,
       k.account_external_id, k.external_id, k.type, k.name
FROM known k LEFT JOIN known p ON p.id = k.parent_id
$$;

-- boris_ingestd_zone catches an exception, and so do those that call it: PostgreSQL before 17 refuses that in a parallel plan.
ALTER FUNCTION boris_ingestd_zone PARALLEL UNSAFE;
ALTER FUNCTION boris_ingestd_accounts PARALLEL UNSAFE;
ALTER FUNCTION boris_ingestd_objects PARALLEL UNSAFE;
ALTER FUNCTION boris_ingestd_tree PARALLEL UNSAFE;

-- --- breakdowns ---

-- The breakdown of each row of a collection; the arguments are the boris_ingestd_dimensions of the rows' shapes. Rows in which a
-- dimension has no value belong to the breakdown with that dimension (the platform could not attribute them) if it has more
-- money; else they are a breakdown of their own, or the total. PL/pgSQL, since SQL would be planned again for each collection.
CREATE FUNCTION boris_ingestd_families_of(knowns text[], wholes text[], many_texts text[], amounts numeric[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    families text[] := CASE WHEN '' = ALL (knowns) THEN many_texts ELSE knowns END;
    without numeric;  -- money of the rows in which the same dimensions have no value
    of_whole numeric; -- money of the rows in which every dimension has one
BEGIN
    FOR i IN 1..cardinality(knowns) LOOP
        CONTINUE WHEN knowns[i] = wholes[i];
        without := 0;
        of_whole := 0;
        FOR n IN 1..cardinality(knowns) LOOP
            CONTINUE WHEN wholes[n] <> wholes[i];
            IF knowns[n] = knowns[i] THEN
                without := without + amounts[n];
            ELSIF knowns[n] = wholes[n] THEN
                of_whole := of_whole + amounts[n];
            END IF;
        END LOOP;
        IF abs(of_whole) > abs(without) THEN
            families[i] := wholes[i];
        END IF;
    END LOOP;
    RETURN families;
END
$$;

-- As before, by the function above.
CREATE OR REPLACE FUNCTION boris_ingestd_families(shapes text[], amounts numeric[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT public.boris_ingestd_families_of(array_agg(known ORDER BY place), array_agg(whole ORDER BY place), array_agg(texts ORDER BY place), $2)
FROM unnest($1) WITH ORDINALITY AS s (shape, place), LATERAL public.boris_ingestd_dimensions(shape)
$$;

-- The breakdown that counts of @rows, which are those of one object, period and collection: a piece for each currency.
CREATE FUNCTION boris_ingestd_chosen(rows boris_ingestd_piece[]) RETURNS boris_ingestd_piece[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    r public.boris_ingestd_piece;
    knowns text[]; wholes text[]; many_texts text[]; amounts numeric[]; families text[];
    sums public.boris_ingestd_piece[] := '{}'; -- of each breakdown and currency
    chosen public.boris_ingestd_piece[] := '{}';
    best public.boris_ingestd_piece;           -- the largest sum of the breakdown that counts
    place integer;
BEGIN
    FOREACH r IN ARRAY rows LOOP
        knowns := knowns || r.known;
        wholes := wholes || r.whole;
        many_texts := many_texts || r.texts;
        amounts := amounts || r.amount_cents;
    END LOOP;
    families := public.boris_ingestd_families_of(knowns, wholes, many_texts, amounts);
    FOR i IN 1..cardinality(rows) LOOP
        r := rows[i];
        r.known := families[i];
        place := 1;
        WHILE place <= cardinality(sums) AND (sums[place].known <> r.known OR sums[place].currency <> r.currency) LOOP
            place := place + 1;
        END LOOP;
        IF place <= cardinality(sums) THEN
            best := sums[place];
            r.amount_cents := r.amount_cents + best.amount_cents;
            r.impressions := coalesce(r.impressions + best.impressions, r.impressions, best.impressions);
            r.clicks := coalesce(r.clicks + best.clicks, r.clicks, best.clicks);
            r.conversions := coalesce(r.conversions + best.conversions, r.conversions, best.conversions);
            r.records := r.records + best.records;
            r.fractional := r.fractional + best.fractional;
            r.stored_end := greatest(r.stored_end, best.stored_end);
        END IF;
        sums[place] := r;
    END LOOP;
    best := NULL;
    FOREACH r IN ARRAY sums LOOP
        IF best.object_id IS NULL OR (r.known <> '', -abs(r.amount_cents), cardinality(string_to_array(r.known, ', ')), r.known COLLATE "C")
                                    < (best.known <> '', -abs(best.amount_cents), cardinality(string_to_array(best.known, ', ')), best.known) THEN
            best := r;
        END IF;
    END LOOP;
    FOREACH r IN ARRAY sums LOOP
        CONTINUE WHEN r.known <> best.known;
        r.breakdown := CASE WHEN cardinality(rows) > 1 OR r.records > 1 THEN nullif(r.known, '') END;
        r.shape := NULL;
        r.known := NULL;
        r.whole := NULL;
        r.texts := NULL;
        chosen := chosen || r;
    END LOOP;
    IF cardinality(chosen) > 1 THEN -- in an order that does not depend on that of the rows
        chosen := ARRAY(SELECT c FROM unnest(chosen) AS c ORDER BY c.currency COLLATE "C");
    END IF;
    RETURN chosen;
END
$$;

-- --- periods that overlap, or differ in their currencies ---

-- What counts of a knot: periods of one object that are linked by overlaps (sorted as in the stream). If two overlap and neither
-- contains the other, the one collected later counts, whatever their currencies. A period that contains one in a currency that it
-- lacks does not count: its remainder is unknown. Of other periods, the amount minus that of the periods in them counts.
CREATE FUNCTION boris_ingestd_untangled(knot boris_ingestd_piece[]) RETURNS SETOF boris_ingestd_piece
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH entry AS MATERIALIZED (
        SELECT * FROM unnest(knot) WITH ORDINALITY AS e (
            object_id, period_start, period_end, collected_at, collected_before, currency, amount_cents, impressions, clicks, conversions,
            records, fractional, breakdown, part, outside, reaches_out, stored_end, place, shape, known, whole, texts, done_until, n)
    ), several AS (
        SELECT min(currency COLLATE "C") <> max(currency COLLATE "C") AS currencies FROM entry
    ), overlapped AS MATERIALIZED (
        SELECT starts[n] AS period_start, ends[n] AS period_end
        FROM (
            SELECT array_agg(period_start ORDER BY period_start, period_end DESC) AS starts,
                   array_agg(period_end ORDER BY period_start, period_end DESC) AS ends,
                   array_agg(collected_at ORDER BY period_start, period_end DESC) AS collected
            FROM (SELECT period_start, period_end, max(collected_at) AS collected_at FROM entry
                  WHERE (SELECT currencies FROM several) GROUP BY period_start, period_end) AS p
        ) AS t, generate_subscripts(t.starts, 1) AS n
        WHERE n NOT IN (SELECT u.place FROM public.boris_ingestd_untangle(t.starts, t.ends, t.collected) AS u)
    ), among_currencies AS MATERIALIZED (
        SELECT period_start, period_end, currency FROM entry
        WHERE (SELECT currencies FROM several) AND (period_start, period_end) NOT IN (SELECT * FROM overlapped)
    ), foreign_below AS MATERIALIZED (
        SELECT DISTINCT o.period_start, o.period_end FROM among_currencies o JOIN among_currencies i
            ON o.period_start <= i.period_start AND i.period_end <= o.period_end
        WHERE (o.period_start, o.period_end, i.currency) NOT IN (SELECT * FROM among_currencies)
    ), counted AS MATERIALIZED (
        SELECT e.*, row_number() OVER (PARTITION BY currency ORDER BY n) AS i
        FROM entry e
        WHERE (period_start, period_end) NOT IN (SELECT * FROM overlapped) AND (period_start, period_end) NOT IN (SELECT * FROM foreign_below)
    ), placed AS MATERIALIZED ( -- with the shortest period that contains it
        SELECT c.*, a.n AS above, a.collected_at AS above_collected
        FROM (
            SELECT currency, array_agg(period_start ORDER BY i) AS starts, array_agg(period_end ORDER BY i) AS ends,
                   array_agg(collected_at ORDER BY i) AS collected
            FROM counted GROUP BY currency
        ) AS t CROSS JOIN LATERAL public.boris_ingestd_untangle(t.starts, t.ends, t.collected) AS u
        JOIN counted c ON c.currency = t.currency AND c.i = u.place
        LEFT JOIN counted a ON a.currency = t.currency AND a.i = u.above
    ), restated AS ( -- periods that were collected again after what contains them: as they were then
        SELECT ns[o.place] AS n, o.amount_cents, o.impressions, o.clicks, o.conversions
        FROM (
            SELECT array_agg(n) AS ns, array_agg(object_id) AS objects, array_agg(period_start) AS starts, array_agg(period_end) AS ends,
                   array_agg(currency) AS currencies, array_agg(above_collected) AS moments
            FROM placed WHERE collected_before >= above_collected HAVING count(*) > 0
        ) AS asked, LATERAL public.boris_ingestd_as_of(objects, starts, ends, currencies, moments) AS o
    ), explained AS (
        SELECT p.above, max(p.collected_at) AS latest, sum(coalesce(r.amount_cents, p.amount_cents)) AS amount_cents,
               sum(coalesce(r.impressions, p.impressions)) AS impressions, sum(coalesce(r.clicks, p.clicks)) AS clicks,
               sum(coalesce(r.conversions, p.conversions)) AS conversions
        FROM placed p LEFT JOIN restated r USING (n) WHERE p.above IS NOT NULL GROUP BY p.above
    )
    SELECT p.object_id, p.period_start, p.period_end, p.collected_at, CASE WHEN e.above IS NULL THEN p.collected_before END, p.currency,
           left_over.*, p.records, p.fractional, p.breakdown, CASE WHEN e.above IS NOT NULL THEN 'not attributed to shorter periods' END,
           p.outside, p.reaches_out, p.stored_end, p.place, p.shape, p.known, p.whole, p.texts, p.done_until
    FROM placed p LEFT JOIN explained e ON e.above = p.n CROSS JOIN LATERAL (
        SELECT CASE WHEN e.above IS NULL THEN p.amount_cents
               ELSE public.boris_ingestd_remainder(p.amount_cents, e.amount_cents, e.latest > p.collected_at) END AS amount_cents,
               CASE WHEN e.above IS NULL THEN p.impressions
               ELSE public.boris_ingestd_remainder(p.impressions, e.impressions, e.latest > p.collected_at) END AS impressions,
               CASE WHEN e.above IS NULL THEN p.clicks
               ELSE public.boris_ingestd_remainder(p.clicks, e.clicks, e.latest > p.collected_at) END AS clicks,
               CASE WHEN e.above IS NULL THEN p.conversions
               ELSE public.boris_ingestd_remainder(p.conversions, e.conversions, e.latest > p.collected_at) END AS conversions
    ) AS left_over
    WHERE e.above IS NULL OR (left_over.amount_cents, coalesce(left_over.impressions, 0), coalesce(left_over.clicks, 0),
                              coalesce(left_over.conversions, 0)) <> (0, 0, 0, 0);
END
$$;

-- --- levels ---

-- The ad sets and campaigns that have spending of their own in the range, NULL if none has.
CREATE FUNCTION boris_ingestd_uppers(from_day date, to_day date, account uuid, from_at timestamptz, to_at timestamptz) RETURNS uuid[]
LANGUAGE plpgsql STABLE SET enable_nestloop = on AS $$
DECLARE
    uppers uuid[];
BEGIN
    IF EXISTS (SELECT FROM public.ad_objects o WHERE o.type <> 'AD' AND ($3 IS NULL OR o.ad_account_id = $3)) THEN
        EXECUTE 'SELECT array_agg(o.id) FROM public.ad_objects o WHERE o.type <> ''AD'' AND ($3 IS NULL OR o.ad_account_id = $3) AND EXISTS (
            SELECT FROM public.spending s
            WHERE s.ad_object_id = o.id
              AND s.collected_at >= (coalesce($4 AT TIME ZONE ''UTC'', $1::timestamp - interval ''15 hours'') - interval ''31 days'')
                                    AT TIME ZONE ''UTC''
              AND s.period_start < coalesce($5, ($2::timestamp + interval ''15 hours'') AT TIME ZONE ''UTC'')
              AND s.period_end > coalesce($4, ($1::timestamp - interval ''15 hours'') AT TIME ZONE ''UTC''))'
        INTO uppers USING from_day, to_day, account, from_at, to_at;
    END IF;
    RETURN uppers;
END
$$;

-- One level of the hierarchy, as in 0008_report_currencies.sql, with two changes. A row of an object below that was collected again
-- is subtracted as it was when the own rows that overlap it were collected; before, when the first own row of the stretch was. The
-- remainder lies at the beginning of the stretch, so that it is in one of two ranges that share a stretch.
CREATE OR REPLACE FUNCTION boris_ingestd_sql_of_level(level text, source text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $outer$ SELECT replace(replace($sql$
in_@level_periods AS ( -- what one has, and what the objects below it have, of each period
    SELECT @level, true AS own, period_start, period_end, currency, collected_at, collected_before, outside, breakdown,
           coalesce(records, 1) AS records, fractional, amount_cents, impressions, clicks, conversions
    FROM @source WHERE number = @level
    UNION ALL
    SELECT @level, false, period_start, period_end, currency, max(collected_at), max(collected_before) FILTER (WHERE part IS NULL),
           nullif(bool_and(outside IS NOT NULL), false), NULL, NULL, NULL, sum(amount_cents), sum(impressions), sum(clicks), sum(conversions)
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
                   min(period_start) AS own_start, max(period_end) FILTER (WHERE own) AS own_end,
                   nullif(min(period_start) FILTER (WHERE outside IS NULL) IS DISTINCT FROM min(period_start), false) AS own_outside,
                   min(breakdown) FILTER (WHERE own) AS breakdown,
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
        SELECT p.@level, array_agg(stretch) AS stretches, array_agg(t.object_id) AS objects, array_agg(r.period_start) AS starts,
               array_agg(r.period_end) AS ends, array_agg(currency) AS currencies, array_agg(p.moment) AS moments,
               array_agg(r.amount_cents) AS amounts, array_agg(r.impressions) AS impressions_now,
               array_agg(r.clicks) AS clicks_now, array_agg(r.conversions) AS conversions_now
        FROM (
            SELECT @level, stretch, currency, p.period_start, p.period_end, max(o.collected_at) AS moment
            FROM in_@level_sums s JOIN in_@level_rows p USING (@level, stretch, currency) JOIN in_@level_rows o USING (@level, stretch, currency)
            WHERE s.latest_before >= s.own_collected AND NOT p.own AND o.own AND o.period_start < p.period_end AND p.period_start < o.period_end
            GROUP BY 1, 2, 3, 4, 5
        ) AS p JOIN @source r USING (@level, period_start, period_end, currency) JOIN tree t ON t.number = r.number
        WHERE r.number <> r.@level AND r.part IS NULL AND r.collected_before >= p.moment
          AND (SELECT bool_or(latest_before >= own_collected) FROM in_@level_sums)
        GROUP BY p.@level
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

-- The query over the pieces of single objects: of ad sets and campaigns, only the remainder after the objects below them are subtracted.
CREATE FUNCTION boris_ingestd_sql_of_levels() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $outer$ SELECT $sql$
WITH tree AS MATERIALIZED (
    SELECT number, object_id, type, zone, ad_set, campaign FROM public.boris_ingestd_tree($3, $4)
), upper AS MATERIALIZED ( -- ad sets and campaigns that have spending of their own
    SELECT t.number, c.number AS campaign
    FROM (SELECT DISTINCT number, object_id FROM public.boris_ingestd_objects($3, $4) WHERE id = ANY ($7)) AS t
    JOIN tree USING (object_id)
    LEFT JOIN (SELECT DISTINCT number FROM public.boris_ingestd_objects($3, $4) WHERE id = ANY ($7)) AS c ON c.number = tree.campaign
), placed AS MATERIALIZED (
    SELECT t.number, p.period_start, p.period_end, p.collected_at, p.collected_before, p.currency, p.amount_cents, p.impressions,
           p.clicks, p.conversions, p.records, p.fractional, p.breakdown, p.outside, p.part, t.ad_set, t.campaign
    FROM public.boris_ingestd_pieces($1, $2, $3, $4, $5, $6, 'periods') AS p
    JOIN (SELECT tree.number, object_id, zone, s.number AS ad_set, c.number AS campaign
          FROM tree LEFT JOIN upper s ON s.number = ad_set LEFT JOIN upper c ON c.number = tree.campaign) AS t USING (object_id)
    WHERE p.part IS NULL OR p.outside IS NULL OR p.period_start >= coalesce($5, public.boris_ingestd_day_start($1, zone))
),$sql$ || public.boris_ingestd_sql_of_level('ad_set', 'placed') || $sql$,
after_ad_sets AS NOT MATERIALIZED (
    SELECT * FROM placed WHERE ad_set IS NULL OR number <> ad_set
    UNION ALL
    SELECT * FROM ad_set_own
),$sql$ || public.boris_ingestd_sql_of_level('campaign', 'after_ad_sets') || $sql$
SELECT t.object_id, p.period_start, p.period_end, p.collected_at, NULL::timestamptz, p.currency, p.amount_cents, p.impressions, p.clicks,
       p.conversions, p.records, p.fractional, p.breakdown, p.part, NULL::boolean, NULL::boolean, NULL::timestamptz, NULL::bigint,
       NULL::text, NULL::text, NULL::text, NULL::text, NULL::timestamptz
FROM (
    SELECT * FROM after_ad_sets WHERE campaign IS NULL OR number <> campaign
    UNION ALL
    SELECT * FROM campaign_own
) AS p JOIN tree t USING (number)
WHERE p.outside IS NULL
$sql$ $outer$;

-- --- the loop ---

-- The pieces of all objects, or of those that the arguments name. @rules:
--     latest    what was collected last of each object and period: one breakdown
--     periods   of that, only the remainder after the object's shorter periods are subtracted
--     levels    of that, only the remainder after the objects below the object are subtracted
--
-- The first pass returns most pieces, from stored rows. It defers objects with several rows in a collection, or with overlapping periods, to
-- the second pass, which adds up rows by shape; and objects with a period that ends after the range to the third, which also reads rows after
-- the range. A knot is handled in one pass: an object is deferred from the first period of its knot on.
CREATE FUNCTION boris_ingestd_pieces(
    from_day date, to_day date, account uuid, object uuid, from_at timestamptz, to_at timestamptz, rules text)
RETURNS SETOF boris_ingestd_piece
LANGUAGE plpgsql STABLE ROWS 100000
SET search_path = pg_catalog, pg_temp -- operators of other schemas are not called
SET jit = off SET hash_mem_multiplier = 8 SET enable_mergejoin = off SET enable_nestloop = off AS $$
DECLARE
    is_latest CONSTANT boolean := rules = 'latest';
    several boolean; range_from timestamptz; range_to timestamptz; one_range boolean; ids uuid[]; -- what the query is made for
    pass text := 'single';
    are_breakdowns boolean;
    r public.boris_ingestd_piece;           -- what was read last
    period public.boris_ingestd_piece;      -- the last collection of the period before it
    siblings public.boris_ingestd_piece[];  -- all rows of this collection, if it has several
    is_simple boolean;                      -- they have one currency, and no two are of one breakdown; none lacks a value
    best public.boris_ingestd_piece;        -- if so: the row that counts
    seen text[];                            -- their breakdowns
    are_own_names boolean;                  -- no platform has a dimension of their names
    earlier public.boris_ingestd_piece;     -- the period when @top was collected, if it was collected again since
    earlier_siblings public.boris_ingestd_piece[];
    chosen public.boris_ingestd_piece[];    -- @period in several currencies, else NULL
    is_odd boolean := true;                 -- whether @period needs more than RETURN NEXT
    shapes text[];                          -- of the first rows
    seen_shapes text[] := '{}';             -- and of all rows in the second and the third pass, with their boris_ingestd_dimensions
    knowns text[]; wholes text[]; many_texts text[];
    shape integer;
    names record;
    -- the knot
    in_knot boolean := false;
    is_tangled boolean;                     -- periods overlap, or differ in their currencies
    reaches_out boolean;
    knot_start timestamptz;
    knot_end timestamptz;
    depth integer := 0;                     -- how many periods contain what is read
    top public.boris_ingestd_piece;         -- the shortest of them
    amount_below numeric; impressions_below numeric; clicks_below numeric; conversions_below numeric; -- what is in @top
    latest_below timestamptz;               -- when the last of it was collected
    tops public.boris_ingestd_piece[];      -- the longer ones, and what is in them
    amounts_below numeric[]; many_impressions_below numeric[]; many_clicks_below numeric[]; many_conversions_below numeric[];
    latests_below timestamptz[];
    knot public.boris_ingestd_piece[];      -- its periods and its pieces, in the second and the third pass
    ready public.boris_ingestd_piece[];
    -- whether the object, or the knot, ends after @period
    is_last boolean;
    is_over boolean;
    is_later boolean;
    -- deferred objects: their ids, where to resume, until when pieces were returned
    leave boolean := false;                 -- whether @period's object is deferred
    objects bigint := 0;                    -- how many were read
    added uuid[] := '{}'; added_from timestamptz[] := '{}'; added_done timestamptz[] := '{}';
    switched_at uuid;                       -- and all objects with a greater id
    behind uuid[] := '{}'; behind_from timestamptz[] := '{}'; behind_done timestamptz[] := '{}';
    behind_until timestamptz;
BEGIN
    IF rules = 'levels' THEN
        ids := public.boris_ingestd_uppers(from_day, to_day, account, from_at, to_at);
        IF ids IS NOT NULL THEN
            RETURN QUERY EXECUTE public.boris_ingestd_sql_of_levels() USING from_day, to_day, account, object, from_at, to_at, ids;
            RETURN;
        END IF;
    END IF;
    IF object IS NOT NULL THEN
        ids := ARRAY(SELECT o.id FROM public.boris_ingestd_objects(account, object) AS o);
    END IF;
    SELECT coalesce(account IS NULL AND max(a.place) > 1, false), min(start), min(finish),
           coalesce(min(start) = max(start) AND min(finish) = max(finish), true)
    INTO several, range_from, range_to, one_range
    FROM public.boris_ingestd_accounts() AS a,
         LATERAL coalesce(from_at, public.boris_ingestd_day_start(from_day, coalesce(zone, 'UTC'))) AS start,
         LATERAL coalesce(to_at, public.boris_ingestd_day_start(to_day, coalesce(zone, 'UTC'))) AS finish
    WHERE account IS NULL OR a.id = account;
    -- If most of the first rows are parts of breakdowns, the first pass is skipped.
    EXECUTE format('SELECT count(DISTINCT (ad_object_id, period_start, period_end, collected_at)) < count(*) / 2,
                           (array_agg(DISTINCT shape))[1:8]
                    FROM (SELECT s.*, %s AS shape FROM public.spending s
                          WHERE s.collected_at >= $1 AND s.collected_at < $1 + interval ''8 days'' AND s.period_end > $1 LIMIT 1000) AS sample',
                   public.boris_ingestd_sql_of_shape(NULL::text[]))
    INTO are_breakdowns, shapes USING range_from;
    IF are_breakdowns THEN
        pass := 'added';
        switched_at := '00000000-0000-0000-0000-000000000000';
    END IF;
    LOOP
        FOR r IN EXECUTE format('SELECT * FROM (%s) AS sorted UNION ALL SELECT (NULL::public.boris_ingestd_piece).*',
                                public.boris_ingestd_sql_of_stream(pass, several, one_range, account IS NOT NULL, object IS NOT NULL,
                                                                   switched_at IS NOT NULL, shapes))
                 USING from_day, to_day, account, object, from_at, to_at, is_latest, added, added_from, added_done, switched_at,
                       CASE pass WHEN 'behind' THEN behind_until END, range_from, range_to, ids
        LOOP
            IF r.shape IS NOT NULL THEN
                shape := array_position(seen_shapes, r.shape);
                IF shape IS NULL THEN
                    IF cardinality(seen_shapes) = 500 THEN
                        seen_shapes := '{}'; -- keys that differ from row to row: bounded
                    END IF;
                    shape := cardinality(seen_shapes) + 1;
                    seen_shapes[shape] := r.shape;
                    names := public.boris_ingestd_dimensions(r.shape);
                    knowns[shape] := names.known;
                    wholes[shape] := names.whole;
                    many_texts[shape] := names.texts;
                END IF;
                r.known := knowns[shape];
                r.whole := wholes[shape];
                r.texts := many_texts[shape];
            END IF;

            -- another row of the same period
            IF r.period_start = period.period_start AND r.period_end = period.period_end AND r.object_id = period.object_id THEN
                IF r.collected_at < period.collected_at THEN
                    IF period.collected_before IS NULL THEN
                        period.collected_before := r.collected_at;
                    END IF;
                    IF depth > 0 AND r.collected_at >= top.collected_at AND r.currency = period.currency THEN
                        IF earlier.object_id IS NULL OR r.collected_at < earlier.collected_at THEN
                            is_odd := true;
                            earlier := r;
                            earlier_siblings := NULL;
                        ELSIF r.place IS NOT DISTINCT FROM earlier.place THEN
                            is_odd := true;
                            leave := pass = 'single';
                            CONTINUE WHEN leave;
                            IF earlier_siblings IS NULL THEN
                                earlier_siblings := ARRAY[earlier];
                            END IF;
                            earlier_siblings := earlier_siblings || r;
                        END IF;
                    END IF;
                ELSIF r.place IS NOT DISTINCT FROM period.place THEN
                    is_odd := true;
                    leave := pass = 'single';
                    CONTINUE WHEN leave;
                    IF siblings IS NULL THEN
                        siblings := ARRAY[period];
                        best := period;
                        are_own_names := period.known = '' AND period.texts <> '';
                        IF are_own_names THEN
                            best.known := period.texts;
                        END IF;
                        is_simple := period.known = period.whole;
                        seen := ARRAY[best.known];
                    END IF;
                    siblings := siblings || r;
                    IF is_simple THEN
                        is_simple := r.known = r.whole AND r.currency = period.currency
                                     AND CASE WHEN are_own_names THEN r.known = '' ELSE r.known <> '' OR r.texts = '' END;
                        IF are_own_names THEN
                            r.known := r.texts;
                        END IF;
                        is_simple := is_simple AND r.known <> ALL (seen);
                        seen := seen || r.known;
                        IF (r.known <> '', -abs(r.amount_cents), cardinality(string_to_array(r.known, ', ')), r.known COLLATE "C")
                           < (best.known <> '', -abs(best.amount_cents), cardinality(string_to_array(best.known, ', ')), best.known) THEN
                            best := r;
                        END IF;
                    END IF;
                ELSIF period.collected_before IS NULL THEN
                    period.collected_before := r.collected_at; -- another platform connection's
                END IF;
                CONTINUE;
            END IF;

            -- another period, or the end: @period is complete
            is_last := r.object_id IS DISTINCT FROM period.object_id;
            IF is_last THEN
                objects := objects + 1;
            END IF;
            IF NOT is_odd THEN -- most periods are alone, or in one that contains the next one, too
                IF depth = 0 THEN
                    IF is_last OR r.period_start >= period.period_end OR is_latest THEN
                        RETURN NEXT period;
                        period := r;
                        is_odd := r.reaches_out IS NOT NULL OR r.stored_end IS NOT NULL;
                        CONTINUE;
                    END IF;
                ELSIF NOT is_last AND r.period_start >= period.period_end AND r.period_start < top.period_end
                      AND period.period_end <= top.period_end AND period.currency = top.currency THEN
                    amount_below := amount_below + period.amount_cents;
                    impressions_below := impressions_below + coalesce(period.impressions, 0);
                    clicks_below := clicks_below + coalesce(period.clicks, 0);
                    conversions_below := conversions_below + coalesce(period.conversions, 0);
                    latest_below := greatest(latest_below, period.collected_at);
                    RETURN NEXT period;
                    period := r;
                    is_odd := r.reaches_out IS NOT NULL OR r.stored_end IS NOT NULL;
                    CONTINUE;
                END IF;
            END IF;
            -- the breakdown that counts
            IF leave THEN
                NULL;
            ELSIF siblings IS NULL THEN
                IF period.records > 1 THEN
                    period.breakdown := nullif(CASE period.known WHEN '' THEN period.texts ELSE period.known END, '');
                END IF;
            ELSIF is_simple THEN
                best.breakdown := nullif(best.known, '');
                best.collected_before := period.collected_before;
                period := best;
            ELSE
                chosen := public.boris_ingestd_chosen(siblings);
                FOR i IN 1..cardinality(chosen) LOOP
                    chosen[i].collected_before := period.collected_before;
                END LOOP;
                period := chosen[1];
                IF cardinality(chosen) = 1 THEN
                    chosen := NULL;
                END IF;
            END IF;
            -- its pieces
            IF leave OR period.object_id IS NULL THEN
                NULL;
            ELSIF is_latest THEN
                FOREACH period IN ARRAY coalesce(chosen, ARRAY[period]) LOOP
                    period.period_end := coalesce(period.stored_end, period.period_end);
                    RETURN NEXT period;
                END LOOP;
            ELSIF NOT in_knot AND (is_last OR r.period_start >= period.period_end) AND period.reaches_out IS NULL
                  AND period.done_until IS NULL THEN
                IF chosen IS NULL THEN
                    RETURN NEXT period;
                ELSE
                    RETURN QUERY SELECT * FROM unnest(chosen);
                END IF;
            ELSE
                IF NOT in_knot THEN
                    in_knot := true;
                    is_tangled := false;
                    reaches_out := false;
                    knot_start := period.period_start;
                    knot_end := period.period_end;
                    knot := '{}';
                    ready := '{}';
                END IF;
                knot_end := greatest(knot_end, period.period_end);
                is_over := is_last OR r.period_start >= knot_end;
                is_tangled := is_tangled OR chosen IS NOT NULL
                              OR depth > 0 AND (period.period_end > top.period_end OR period.currency <> top.currency);
                IF pass <> 'behind' AND period.reaches_out THEN
                    reaches_out := true;
                    behind_until := greatest(behind_until, period.period_end);
                END IF;
                IF is_tangled AND pass = 'single' THEN
                    leave := true;
                ELSE
                    IF is_over AND reaches_out THEN
                        behind := behind || period.object_id;
                        behind_from := behind_from || knot_start;
                        behind_done := behind_done || CASE pass WHEN 'single' THEN period.period_start ELSE period.done_until END;
                    ELSIF NOT is_tangled THEN
                        IF depth > 0 THEN -- it is subtracted from @top, as it was then
                            IF earlier_siblings IS NOT NULL THEN
                                earlier := (public.boris_ingestd_chosen(earlier_siblings))[1];
                            ELSIF earlier.object_id IS NULL THEN
                                earlier := period;
                            END IF;
                            amount_below := amount_below + earlier.amount_cents;
                            impressions_below := impressions_below + coalesce(earlier.impressions, period.impressions, 0);
                            clicks_below := clicks_below + coalesce(earlier.clicks, period.clicks, 0);
                            conversions_below := conversions_below + coalesce(earlier.conversions, period.conversions, 0);
                            latest_below := greatest(latest_below, period.collected_at);
                        END IF;
                        IF NOT is_last AND r.period_start < period.period_end THEN -- it contains what follows
                            IF depth > 0 THEN
                                tops[depth] := top;
                                amounts_below[depth] := amount_below;
                                many_impressions_below[depth] := impressions_below;
                                many_clicks_below[depth] := clicks_below;
                                many_conversions_below[depth] := conversions_below;
                                latests_below[depth] := latest_below;
                            END IF;
                            depth := depth + 1;
                            top := period;
                            amount_below := 0;
                            impressions_below := 0;
                            clicks_below := 0;
                            conversions_below := 0;
                            latest_below := NULL;
                        ELSIF pass = 'single' THEN
                            RETURN NEXT period;
                        ELSE
                            ready := ready || period;
                        END IF;
                        WHILE depth > 0 AND (is_over OR r.period_start >= top.period_end) LOOP -- nothing more is subtracted from @top
                            is_later := latest_below > top.collected_at;
                            top.amount_cents := public.boris_ingestd_remainder(top.amount_cents, amount_below, is_later);
                            top.impressions := public.boris_ingestd_remainder(top.impressions, impressions_below, is_later);
                            top.clicks := public.boris_ingestd_remainder(top.clicks, clicks_below, is_later);
                            top.conversions := public.boris_ingestd_remainder(top.conversions, conversions_below, is_later);
                            top.collected_before := NULL;
                            top.part := 'not attributed to shorter periods';
                            IF (top.amount_cents, coalesce(top.impressions, 0), coalesce(top.clicks, 0), coalesce(top.conversions, 0))
                               = (0, 0, 0, 0) THEN
                                NULL;
                            ELSIF pass = 'single' THEN
                                RETURN NEXT top;
                            ELSE
                                ready := ready || top;
                            END IF;
                            depth := depth - 1;
                            IF depth > 0 THEN
                                top := tops[depth];
                                amount_below := amounts_below[depth];
                                impressions_below := many_impressions_below[depth];
                                clicks_below := many_clicks_below[depth];
                                conversions_below := many_conversions_below[depth];
                                latest_below := latests_below[depth];
                            END IF;
                        END LOOP;
                    END IF;
                    IF pass <> 'single' THEN
                        IF chosen IS NULL THEN
                            knot := knot || period; -- in place; an array would be copied
                        ELSE
                            knot := knot || chosen;
                        END IF;
                        IF NOT is_over OR reaches_out THEN
                            NULL;
                        ELSIF is_tangled THEN
                            RETURN QUERY SELECT * FROM public.boris_ingestd_untangled(knot) AS k
                                         WHERE period.done_until IS NULL OR k.period_end > period.done_until;
                        ELSE
                            RETURN QUERY SELECT * FROM unnest(ready) AS k WHERE period.done_until IS NULL OR k.period_end > period.done_until;
                        END IF;
                    END IF;
                    earlier := NULL;
                    earlier_siblings := NULL;
                    IF is_over THEN
                        in_knot := false;
                        depth := 0;
                    END IF;
                END IF;
            END IF;
            -- the further rows of a deferred object are skipped
            IF leave THEN
                CONTINUE WHEN NOT is_last;
                added := added || period.object_id;
                added_from := added_from || CASE WHEN in_knot THEN knot_start ELSE period.period_start END;
                added_done := added_done || CASE WHEN is_latest THEN period.period_end ELSE period.period_start END;
                leave := false;
                siblings := NULL;
                in_knot := false;
                depth := 0;
                earlier := NULL;
                earlier_siblings := NULL;
                IF cardinality(added) >= 20 AND cardinality(added) > objects / 2 THEN
                    switched_at := period.object_id; -- most objects are of this kind
                    EXIT;
                END IF;
            END IF;
            period := r;
            is_odd := pass <> 'single' OR r.reaches_out IS NOT NULL OR r.stored_end IS NOT NULL;
            siblings := NULL;
            chosen := NULL;
        END LOOP;
        IF pass = 'single' AND cardinality(added) > 0 THEN
            pass := 'added';
        ELSIF pass <> 'behind' AND cardinality(behind) > 0 THEN
            pass := 'behind';
            added := behind;
            added_from := behind_from;
            added_done := behind_done;
            switched_at := NULL;
        ELSE
            EXIT;
        END IF;
        period := NULL;
        is_odd := true;
    END LOOP;
END
$$;

-- --- for everybody ---

-- What was collected last, of each object and period that begins in the range: sums of one breakdown.
CREATE OR REPLACE FUNCTION boris_ingestd_latest(
    from_day date, to_day date, account uuid DEFAULT NULL, object uuid DEFAULT NULL,
    from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL)
RETURNS TABLE (
    object_id uuid, breakdown text, period_start timestamptz, period_end timestamptz, collected_at timestamptz, currency text,
    amount_cents numeric, impressions numeric, clicks numeric, conversions numeric, records bigint, fractional bigint)
LANGUAGE sql STABLE AS $$
SELECT p.object_id, p.breakdown, p.period_start, p.period_end, p.collected_at, p.currency, p.amount_cents,
       p.impressions, p.clicks, p.conversions, p.records, p.fractional
FROM public.boris_ingestd_pieces($1, $2, $3, $4, $5, $6, 'latest') AS p WHERE p.outside IS NULL
$$;

-- Rows that may be added up: no money is in two of them.
CREATE OR REPLACE FUNCTION boris_ingestd_spending(
    from_day date, to_day date, account uuid DEFAULT NULL, object uuid DEFAULT NULL,
    from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL)
RETURNS TABLE (
    platform public.platform, account_external_id text, zone text,
    object_id uuid, object_external_id text, object_type public.ad_object_type, object_name text,
    campaign_id uuid, part text, breakdown text,
    period_start timestamptz, period_end timestamptz, local_start timestamp, collected_at timestamptz, currency text,
    amount_cents numeric, impressions numeric, clicks numeric, conversions numeric, records bigint, fractional bigint)
LANGUAGE sql STABLE AS $$
SELECT t.platform, t.account_external_id, t.zone, t.object_id, t.external_id, t.type, t.name, t.top, p.part, p.breakdown,
       p.period_start, p.period_end, p.period_start AT TIME ZONE t.zone, p.collected_at, p.currency,
       p.amount_cents, p.impressions, p.clicks, p.conversions, p.records, p.fractional
FROM public.boris_ingestd_pieces($1, $2, $3, $4, $5, $6, 'levels') AS p JOIN public.boris_ingestd_tree($3, $4) AS t USING (object_id)
WHERE p.outside IS NULL
$$;
