-- The report's rules again, where they were wrong: breakdowns of which one is partial, dimensions without a value, conversions in
-- other notations, and days whose midnight comes twice. Replaces functions of 0003_report.sql and 0005_report_speed.sql.

DROP FUNCTION boris_ingestd_dimensions(text);

-- --- time zones ---

-- When a day begins in a zone. Where clocks are set back at 01:00 (America/Havana), midnight comes twice: the first one counts.
CREATE FUNCTION boris_ingestd_day_start(day date, zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT CASE WHEN (midnight - interval '1 hour') AT TIME ZONE zone = day::timestamp THEN midnight - interval '1 hour' ELSE midnight END
FROM (SELECT day::timestamp AT TIME ZONE zone AS midnight) AS usual
$$;

-- --- one row ---

-- The number that a text is, NULL if it is none: "2.5", "1,234.5", "2.5e-1".
CREATE FUNCTION boris_ingestd_number(text text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE WHEN length(text) < 500 AND text ~ '^\s*[-+]?([0-9]+(,[0-9]{3})*(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?\s*$'
       THEN replace(text, ',', '')::numeric END
$$;

-- Whether metrics hold other conversions than the column: platforms count them in fractions, which the column cannot hold. A list
-- ([{"action_type":"purchase","value":"2.5"}]) does if one of its values is a fraction.
CREATE OR REPLACE FUNCTION boris_ingestd_has_conversions(conversions bigint, metrics jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT EXISTS (
    SELECT
    FROM (VALUES (metrics), (metrics -> 'metrics')) AS object (entries),
         LATERAL jsonb_each(CASE jsonb_typeof(entries) WHEN 'object' THEN entries END) AS entry (key, value)
    WHERE lower(key) IN ('conversions', 'metrics.conversions', 'metrics_conversions', 'fractional_conversions')
      AND CASE WHEN jsonb_typeof(value) = 'array'
          THEN EXISTS (SELECT FROM jsonb_array_elements(value) AS item, LATERAL public.boris_ingestd_number(item ->> 'value') AS number
                       WHERE number <> trunc(number))
          ELSE public.boris_ingestd_number(value #>> '{}') <> coalesce(conversions, 0) END)
$$;

-- The keys of metrics, one a line, those of an inner object behind its own; text values are marked with a "t" in front, keys without
-- a value (null) with a "0", others with "-". Rows of one breakdown have few different shapes.
CREATE OR REPLACE FUNCTION boris_ingestd_shape(metrics jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT coalesce(string_agg(
    CASE jsonb_typeof(value)
    WHEN 'object'
    THEN (SELECT string_agg(
              CASE jsonb_typeof(inner_value) WHEN 'null' THEN '0' WHEN 'string' THEN
                  CASE WHEN inner_value #>> '{}' ~ '^\s*([-+]?[0-9.,]+([eE][-+]?[0-9]+)?\s*%?\s*)?$' THEN '-' ELSE 't' END
              WHEN 'boolean' THEN 't' ELSE '-' END || key || '.' || inner_key, E'\n' ORDER BY inner_key COLLATE "C")
          FROM jsonb_each(value) AS i (inner_key, inner_value))
    WHEN 'null' THEN '0' || key
    WHEN 'string' THEN CASE WHEN value #>> '{}' ~ '^\s*([-+]?[0-9.,]+([eE][-+]?[0-9]+)?\s*%?\s*)?$' THEN '-' ELSE 't' END || key
    WHEN 'boolean' THEN 't' || key
    ELSE '-' || key END, E'\n'), '')
FROM jsonb_each(CASE jsonb_typeof(metrics) WHEN 'object' THEN metrics END) AS o (key, value)
$$;

-- The dimensions by which rows of a shape were broken down, "age, gender"; '' for a total. known: dimensions that platforms name,
-- and that have a value. whole: these, and those without a value. texts: known, and all keys that hold text, since a sync job
-- may have names of its own.
CREATE FUNCTION boris_ingestd_dimensions(shape text, OUT known text, OUT whole text, OUT texts text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT coalesce(string_agg(key, ', ' ORDER BY key COLLATE "C") FILTER (WHERE dimension AND mark <> '0'), ''),
       coalesce(string_agg(key, ', ' ORDER BY key COLLATE "C") FILTER (WHERE dimension), ''),
       coalesce(string_agg(key, ', ' ORDER BY key COLLATE "C") FILTER (WHERE dimension AND mark <> '0' OR mark = 't'), '')
FROM (
    SELECT mark, key, name ~ '^(segments?|dimensions?|breakdowns?)[._]' OR split_part(name, '.', 1) = ANY (names)
                      OR regexp_replace(name, '^.*\.', '') = ANY (names) AS dimension
    FROM (SELECT left(entry, 1), substr(entry, 2), public.boris_ingestd_dimension_names(),
                 lower(replace(regexp_replace(substr(entry, 2), '([a-z])([A-Z])', '\1_\2', 'g'), ' ', '_')) -- ageRange, "Age range"
          FROM regexp_split_to_table(shape, '\n') AS entry WHERE entry <> '') AS named (mark, key, names, name)
) AS judged
$$;

-- The breakdown of each row of a collection. Rows in which a dimension has no value belong to the breakdown with this dimension
-- (what the platform could not attribute) if it has more money; else they are a breakdown of their own, or the total.
CREATE FUNCTION boris_ingestd_families(shapes text[], amounts numeric[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
WITH row AS MATERIALIZED (
    SELECT r.place, r.amount, d.*
    FROM unnest($1, $2) WITH ORDINALITY AS r (shape, amount, place), LATERAL public.boris_ingestd_dimensions(r.shape) AS d
), part AS MATERIALIZED (
    SELECT known, whole, abs(sum(amount)) AS amount FROM row GROUP BY known, whole
)
SELECT array_agg(CASE WHEN f.whole IS NOT NULL THEN f.whole WHEN (SELECT bool_or(known <> '') FROM row) THEN r.known ELSE r.texts END
                 ORDER BY place)
FROM row r JOIN part p USING (known, whole)
LEFT JOIN part f ON r.known <> r.whole AND f.known = r.whole AND f.whole = r.whole AND f.amount > p.amount
$$;

-- --- what changed in the rest ---

-- The row that was collected last of each object and period, and what is around it. Days are the account's; from_at and to_at
-- may be given instead of a day. Periods that begin before the range and reach into it are there, too.
--
-- A restatement may come at any time after its period began, so later chunks are all read. Earlier ones are not: a row that
-- was collected more than 31 days before its period began is a plan, and does not count. The planner sees one scan of
-- spending, whose bounds are constants, one sort, and one window. Rows are kept short, for they are sorted and kept: what is
-- usual is NULL.
CREATE OR REPLACE FUNCTION boris_ingestd_newest(
    from_day date, to_day date, account uuid, object uuid, from_at timestamptz, to_at timestamptz)
RETURNS TABLE (
    number integer, -- of the object
    place bigint,   -- of the account; NULL for the first
    period_start timestamptz, period_end timestamptz,
    stored_end timestamptz, -- if it differs
    collected_at timestamptz, collected_before timestamptz, currency text, amount_cents bigint, impressions bigint,
    clicks bigint, conversions bigint,
    fractional boolean, outside boolean, reaches_out boolean, -- true or NULL; outside: begins before the range
    has_more boolean,        -- true if this collection, or another connection's of the same moment, has more rows
    container timestamptz,   -- the end of the longest earlier period of the object that reaches into this one, else NULL
    tangled boolean)         -- true if that period, or another one in it, does not simply contain this one, else NULL
LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH object AS MATERIALIZED (
    SELECT id, number, nullif(place, 1) AS place, coalesce($5, public.boris_ingestd_day_start($1, zone)) AS from_at,
           coalesce($6, public.boris_ingestd_day_start($2, zone)) AS to_at
    FROM public.boris_ingestd_objects($3, $4)
), found AS (
    SELECT o.number, o.place, s.period_start, public.boris_ingestd_period_end(s.period_end) AS period_end,
           CASE WHEN s.period_end <> public.boris_ingestd_period_end(s.period_end) THEN s.period_end END AS stored_end,
           s.collected_at, s.currency, s.amount_cents, s.impressions, s.clicks, s.conversions,
           CASE WHEN public.boris_ingestd_fractional(s.conversions, s.metrics) THEN true END AS fractional,
           CASE WHEN s.period_start < o.from_at THEN true END AS outside,
           CASE WHEN s.period_end > o.to_at THEN true END AS reaches_out
    FROM public.spending s JOIN object o ON o.id = s.ad_object_id
    WHERE s.collected_at >= (coalesce($5 AT TIME ZONE 'UTC', $1::timestamp - interval '15 hours') - interval '31 days')
                            AT TIME ZONE 'UTC'
      AND s.period_start < coalesce($6, ($2::timestamp + interval '15 hours') AT TIME ZONE 'UTC')
      AND s.period_end > coalesce($5, ($1::timestamp - interval '15 hours') AT TIME ZONE 'UTC')
      AND CASE WHEN s.period_start < o.to_at AND s.period_end > o.from_at AND s.collected_at >= s.period_start - interval '744 hours'
          THEN true ELSE false END -- one condition: the planner would multiply its guesses of three
    OFFSET 0 -- what is computed of metrics is computed here: metrics are not sorted
), around AS (
    SELECT *, lag(period_start) OVER earlier AS before_start, lag(period_end) OVER earlier AS before_end,
           lead(period_start) OVER earlier AS after_start, lead(period_end) OVER earlier AS after_end,
           lead(collected_at) OVER earlier AS after_collected, max(period_end) OVER earlier AS reached
    FROM found WINDOW earlier AS (PARTITION BY number ORDER BY period_start, period_end DESC, collected_at DESC, place NULLS FIRST
                                  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT number, place, period_start, period_end, stored_end, collected_at,
       CASE WHEN after_start = period_start AND after_end = period_end THEN after_collected END,
       currency, amount_cents, impressions, clicks, conversions, fractional, outside, reaches_out,
       CASE WHEN after_collected = collected_at AND after_start = period_start AND after_end = period_end THEN true END,
       CASE WHEN reached > period_start THEN reached END,
       CASE WHEN reached > period_start AND (period_end > reached OR before_end > period_start AND before_end < reached) THEN true END
FROM around
WHERE before_start IS DISTINCT FROM period_start OR before_end IS DISTINCT FROM period_end
$$;

-- The four sums of objects and periods as they were at a moment of each: of the first collection at or after it.
CREATE OR REPLACE FUNCTION boris_ingestd_as_of(
    objects uuid[], starts timestamptz[], ends timestamptz[], currencies text[], moments timestamptz[])
RETURNS TABLE (place integer, amount_cents numeric, impressions numeric, clicks numeric, conversions numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET enable_nestloop = on AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT a.place::integer, a.object, a.starts, a.ends, a.currency, a.moment
        FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY AS a (object, starts, ends, currency, moment, place)
    ), same AS MATERIALIZED ( -- what several platform connections brought
        SELECT o.id AS object, p.id
        FROM public.ad_objects o JOIN public.ad_accounts a ON a.id = o.ad_account_id
        JOIN public.platform_connections c ON c.id = a.platform_connection_id
        JOIN public.ad_accounts b ON b.external_id = a.external_id
        JOIN public.platform_connections d ON d.id = b.platform_connection_id AND d.platform = c.platform
        JOIN public.ad_objects p ON p.ad_account_id = b.id AND p.external_id = o.external_id
        WHERE o.id = ANY ($1)
    ), stored AS MATERIALIZED (
        SELECT same.object, s.ad_object_id, s.period_start, public.boris_ingestd_period_end(s.period_end) AS ends, s.currency,
               s.collected_at, s.amount_cents, s.impressions, s.clicks, s.conversions, s.metrics
        FROM same JOIN public.spending s ON s.ad_object_id = same.id
        WHERE s.collected_at >= (SELECT min(moment) FROM asked)
    ), collection AS (
        SELECT a.place, s.*, dense_rank() OVER (PARTITION BY a.place ORDER BY s.collected_at, s.ad_object_id) AS collection
        FROM asked a JOIN stored s ON s.object = a.object AND s.period_start = a.starts AND s.ends = a.ends AND s.currency = a.currency
        WHERE s.collected_at >= a.moment
    ), grouped AS (
        SELECT place, array_agg(public.boris_ingestd_shape(metrics)) AS shapes, array_agg(amount_cents) AS amounts,
               array_agg(impressions) AS impressions, array_agg(clicks) AS clicks, array_agg(conversions) AS conversions
        FROM collection WHERE collection = 1 GROUP BY place
    )
    SELECT DISTINCT ON (g.place) g.place, sum(r.amount_cents), sum(r.impressions), sum(r.clicks), sum(r.conversions)
    FROM grouped g, LATERAL unnest(g.amounts, g.impressions, g.clicks, g.conversions, public.boris_ingestd_families(g.shapes, g.amounts))
                    AS r (amount_cents, impressions, clicks, conversions, family)
    GROUP BY g.place, r.family
    ORDER BY g.place, r.family <> '', abs(sum(r.amount_cents)) DESC, cardinality(string_to_array(r.family, ', ')), r.family COLLATE "C";
END
$$;

-- What was collected last, as CTEs. Columns that are NULL in most rows keep rows short: records and fractional are NULL for one
-- record, and for none.
CREATE OR REPLACE FUNCTION boris_ingestd_sql_of_latest() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $outer$ SELECT $sql$
WITH several AS MATERIALIZED (
    SELECT * FROM public.boris_ingestd_newest($1, $2, $3, $4, $5, $6)
), present AS MATERIALIZED ( -- what there is of each object: what there is not, is not looked for below
    SELECT number, bool_or(has_more) AS has_more, bool_or(tangled) AS tangled, max(container) AS container,
           max(period_end) FILTER (WHERE reaches_out AND outside IS NOT TRUE) AS reach
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
           CASE WHEN s.metrics ?| public.boris_ingestd_dimension_names() AND NOT s.metrics @? 'strict $.* ? (@ == null || @.type() == "object")'
           THEN '-' || array_to_string(ARRAY(SELECT jsonb_object_keys(CASE jsonb_typeof(s.metrics) WHEN 'object' THEN s.metrics END)), E'\n-')
           ELSE public.boris_ingestd_shape(s.metrics) END COLLATE "C" AS shape
    FROM doubled m
    JOIN (SELECT id, number, nullif(place, 1) AS place FROM public.boris_ingestd_objects($3, $4)) AS o
        ON o.number = m.number AND o.place IS NOT DISTINCT FROM m.place
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
)
SELECT s.period_start, s.period_end, s.collected_at, s.currency, s.amount_cents, s.breakdown,
       CASE WHEN l.collected_at IS NULL OR s.is_again OR p.object_id IS NULL THEN 0 WHEN p.part IS NULL THEN s.amount_cents ELSE p.amount_cents END,
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
       END
FROM stored s
LEFT JOIN LATERAL (SELECT * FROM latest n WHERE n.period_start = s.period_start AND n.ends = s.ends
                   ORDER BY n.currency = s.currency DESC LIMIT 1) AS n ON true
LEFT JOIN latest l ON l.period_start = s.period_start AND l.ends = s.ends AND l.collected_at = s.collected_at
     AND l.currency = s.currency AND (l.breakdown IS NOT DISTINCT FROM s.breakdown OR s.is_alone AND l.breakdown IS NULL)
LEFT JOIN LATERAL (SELECT * FROM piece p WHERE p.currency = s.currency AND p.period_start = s.period_start AND
                   CASE WHEN p.part IS NULL THEN p.period_end = s.ends ELSE p.period_end >= s.ends END
                   ORDER BY p.part IS NULL DESC LIMIT 1) AS p ON true
ORDER BY s.period_start, s.ends, s.collected_at, s.breakdown, s.amount_cents DESC
$$;
