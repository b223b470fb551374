-- The rules of `boris-ingestd report`, for everybody who queries the tables: each sum of money counts once. The rules are
-- explained, with an example for each, in config/README.md. Everything here only reads, with the rights of whoever calls it,
-- and never reads credentials.

-- --- time zones ---

-- IANA's old names: "target=old,old", from the file backward of tzdata 2026f. Servers of Debian 13 lack the old names.
CREATE FUNCTION boris_ingestd_zone_links() RETURNS TABLE (target text, link text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT split_part(entry, '=', 1), regexp_split_to_table(split_part(entry, '=', 2), ',')
FROM regexp_split_to_table(trim('
Africa/Asmara=Africa/Asmera Africa/Bamako=Africa/Timbuktu Africa/Cairo=Egypt Africa/Tripoli=Libya
America/Adak=America/Atka,US/Aleutian America/Anchorage=US/Alaska America/Argentina/Buenos_Aires=America/Buenos_Aires
America/Argentina/Catamarca=America/Argentina/ComodRivadavia,America/Catamarca
America/Argentina/Cordoba=America/Cordoba,America/Rosario America/Argentina/Jujuy=America/Jujuy
America/Argentina/Mendoza=America/Mendoza America/Atikokan=America/Coral_Harbour America/Chicago=CST6CDT,US/Central
America/Curacao=America/Kralendijk,America/Lower_Princes America/Denver=America/Shiprock,MST7MDT,Navajo,US/Mountain
America/Detroit=US/Michigan America/Edmonton=America/Yellowknife,Canada/Mountain America/Halifax=Canada/Atlantic
America/Havana=Cuba America/Indiana/Indianapolis=America/Fort_Wayne,America/Indianapolis,US/East-Indiana
America/Indiana/Knox=America/Knox_IN,US/Indiana-Starke America/Iqaluit=America/Pangnirtung America/Jamaica=Jamaica
America/Kentucky/Louisville=America/Louisville America/Los_Angeles=PST8PDT,US/Pacific America/Manaus=Brazil/West
America/Mazatlan=Mexico/BajaSur America/Mexico_City=Mexico/General America/New_York=EST5EDT,US/Eastern
America/Noronha=Brazil/DeNoronha America/Nuuk=America/Godthab America/Panama=EST America/Phoenix=MST,US/Arizona
America/Port_of_Spain=America/Marigot,America/St_Barthelemy America/Regina=Canada/Saskatchewan
America/Rio_Branco=America/Porto_Acre,Brazil/Acre America/Santiago=Chile/Continental America/Sao_Paulo=Brazil/East
America/St_Johns=Canada/Newfoundland America/St_Thomas=America/Virgin
America/Tijuana=America/Ensenada,America/Santa_Isabel,Mexico/BajaNorte
America/Toronto=America/Montreal,America/Nipigon,America/Thunder_Bay,Canada/Eastern America/Vancouver=Canada/Pacific
America/Whitehorse=Canada/Yukon America/Winnipeg=America/Rainy_River,Canada/Central
Antarctica/McMurdo=Antarctica/South_Pole Asia/Ashgabat=Asia/Ashkhabad Asia/Dhaka=Asia/Dacca Asia/Ho_Chi_Minh=Asia/Saigon
Asia/Hong_Kong=Hongkong Asia/Jerusalem=Asia/Tel_Aviv,Israel Asia/Kathmandu=Asia/Katmandu Asia/Kolkata=Asia/Calcutta
Asia/Macau=Asia/Macao Asia/Makassar=Asia/Ujung_Pandang Asia/Nicosia=Europe/Nicosia Asia/Seoul=ROK
Asia/Shanghai=Asia/Chongqing,Asia/Chungking,Asia/Harbin,PRC Asia/Singapore=Singapore Asia/Taipei=ROC Asia/Tehran=Iran
Asia/Thimphu=Asia/Thimbu Asia/Tokyo=Japan Asia/Ulaanbaatar=Asia/Choibalsan,Asia/Ulan_Bator Asia/Urumqi=Asia/Kashgar
Asia/Yangon=Asia/Rangoon Atlantic/Faroe=Atlantic/Faeroe Atlantic/Reykjavik=Iceland Australia/Adelaide=Australia/South
Australia/Brisbane=Australia/Queensland Australia/Broken_Hill=Australia/Yancowinna Australia/Darwin=Australia/North
Australia/Hobart=Australia/Currie,Australia/Tasmania Australia/Lord_Howe=Australia/LHI
Australia/Melbourne=Australia/Victoria Australia/Perth=Australia/West
Australia/Sydney=Australia/ACT,Australia/Canberra,Australia/NSW
Etc/GMT=Etc/GMT+0,Etc/GMT-0,Etc/GMT0,Etc/Greenwich,GMT,GMT+0,GMT-0,GMT0,Greenwich
Etc/UTC=Etc/UCT,Etc/Universal,Etc/Zulu,UCT,UTC,Universal,Zulu Europe/Athens=EET Europe/Belgrade=Europe/Podgorica
Europe/Brussels=CET,MET Europe/Chisinau=Europe/Tiraspol Europe/Dublin=Eire Europe/Helsinki=Europe/Mariehamn
Europe/Istanbul=Asia/Istanbul,Turkey Europe/Kyiv=Europe/Kiev,Europe/Uzhgorod,Europe/Zaporozhye
Europe/Lisbon=Portugal,WET Europe/London=Europe/Belfast,GB,GB-Eire Europe/Moscow=W-SU
Europe/Oslo=Arctic/Longyearbyen,Atlantic/Jan_Mayen Europe/Prague=Europe/Bratislava
Europe/Rome=Europe/San_Marino,Europe/Vatican Europe/Warsaw=Poland Europe/Zurich=Europe/Busingen Pacific/Auckland=NZ
Pacific/Chatham=NZ-CHAT Pacific/Chuuk=Pacific/Truk,Pacific/Yap Pacific/Easter=Chile/EasterIsland
Pacific/Honolulu=HST,Pacific/Johnston,US/Hawaii Pacific/Kanton=Pacific/Enderbury Pacific/Kwajalein=Kwajalein
Pacific/Pago_Pago=Pacific/Samoa,US/Samoa Pacific/Pohnpei=Pacific/Ponape
'), '\s+') AS entry
$$;

-- The server's name for an account's time zone, NULL where it is none. The server itself would accept more: "EST" and
-- "Foo+3" (POSIX), for instance, which have no daylight saving time, or the opposite sign.
CREATE FUNCTION boris_ingestd_zone(timezone text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    candidate text;
    answer timestamp;
BEGIN
    FOR candidate IN
        WITH links AS MATERIALIZED (SELECT * FROM public.boris_ingestd_zone_links()),
        same AS (SELECT target FROM links WHERE lower(timezone) IN (lower(link), lower(target)))
        SELECT name FROM (
            SELECT target, 1 FROM same
            UNION ALL SELECT timezone, 2
            UNION ALL SELECT link, 3 FROM links WHERE target IN (SELECT target FROM same)
        ) AS names (name, place)
        WHERE name ~ '^([A-Za-z_]+(/[A-Za-z_]+([-][A-Za-z_]+)*){1,2}|Etc/GMT(0|[+](1[0-2]|[0-9])|-(1[0-4]|[0-9]))?|Etc/UTC)$'
        ORDER BY place, name
    LOOP
        BEGIN
            answer := '2026-01-01 00:00:00+00'::timestamptz AT TIME ZONE candidate;
            RETURN candidate;
        EXCEPTION WHEN invalid_parameter_value THEN
            NULL;
        END;
    END LOOP;
    RETURN NULL;
END
$$;

-- The accounts with the time zone that reports use, NULL where the server does not know it (then UTC). Several platform
-- connections may reach one account: the first of them has place 1.
CREATE FUNCTION boris_ingestd_accounts()
RETURNS TABLE (id uuid, platform public.platform, external_id text, timezone text, zone text, place bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT a.id, c.platform, a.external_id, a.timezone, z.zone,
       row_number() OVER (PARTITION BY c.platform, a.external_id ORDER BY a.created_at, a.id)
FROM public.ad_accounts a
JOIN public.platform_connections c ON c.id = a.platform_connection_id
JOIN (SELECT timezone, public.boris_ingestd_zone(timezone) AS zone
      FROM (SELECT DISTINCT timezone FROM public.ad_accounts) AS each OFFSET 0) AS z USING (timezone)
$$;

-- --- one row ---

-- The platforms' names for what a report can be broken down by.
CREATE FUNCTION boris_ingestd_dimension_names() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT '{
        age,age_range,gender,country,country_code,region,region_id,province,province_id,city,city_id,dma,
        dma_id,zip,postal_code,location,geo,language,publisher_platform,platform_position,device_platform,
        impression_device,device,device_type,device_brand,device_model,os,operating_system,placement,
        placement_type,placement_id,network,ad_network_type,ac,hour,hour_of_day,day_of_week,
        hourly_stats_aggregated_by_advertiser_time_zone,hourly_stats_aggregated_by_audience_time_zone,product_id,
        product_item_id,frequency_value,place_page_id,conversion_action,conversion_action_name,
        conversion_action_category,click_type,slot,search_term,keyword,keyword_id,audience,audience_id,
        interest,interest_category,income_range,parental_status,household_income,action_type,action_device,
        action_destination,action_reaction,action_target_id,body_asset,title_asset,image_asset,video_asset,
        description_asset,link_url_asset,call_to_action_asset,ad_format_asset,media_asset_url,user_segment_key,
        app_id,skan_campaign_id,skan_conversion_id,conversion_destination,landing_destination,creative_id,
        asset_group,asset_group_id
        }'::text[]
$$;

-- The keys of metrics that have a value, one a line, those of an inner object behind its own; text values are marked with a
-- "t" in front, others with "-". Rows of one breakdown have few different shapes.
CREATE FUNCTION boris_ingestd_shape(metrics jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT coalesce(string_agg(
    CASE WHEN jsonb_typeof(value) = 'object'
    THEN (SELECT string_agg(
              CASE WHEN inner_value #>> '{}' ~ '^\s*([-+]?[0-9.,]+([eE][-+]?[0-9]+)?\s*%?\s*)?$' THEN '-' ELSE 't' END || key || '.' || inner_key,
              E'\n' ORDER BY inner_key COLLATE "C")
          FROM jsonb_each(value) AS i (inner_key, inner_value) WHERE jsonb_typeof(inner_value) NOT IN ('null', 'array', 'object'))
    WHEN value #>> '{}' ~ '^\s*([-+]?[0-9.,]+([eE][-+]?[0-9]+)?\s*%?\s*)?$' THEN '-' || key ELSE 't' || key END, E'\n'), '')
FROM jsonb_each(CASE jsonb_typeof(metrics) WHEN 'object' THEN metrics END) AS o (key, value)
WHERE jsonb_typeof(value) NOT IN ('null', 'array')
$$;

-- The dimensions by which rows of a shape were broken down, "age, gender"; '' for a total. Two texts: by the platforms' own
-- names for dimensions, and, for breakdowns with names of a sync job's own, by the keys that hold text, too.
CREATE FUNCTION boris_ingestd_dimensions(shape text, OUT known text, OUT texts text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT coalesce(string_agg(key, ', ' ORDER BY key COLLATE "C") FILTER (WHERE dimension), ''),
       coalesce(string_agg(key, ', ' ORDER BY key COLLATE "C") FILTER (WHERE dimension OR is_text), '')
FROM (
    SELECT key, is_text, key ~* '^(segments?|dimensions?|breakdowns?)[._]'
        OR lower(regexp_replace(replace(key, ' ', '_'), '^.*\.', '')) = ANY (public.boris_ingestd_dimension_names()) AS dimension
    FROM (SELECT substr(entry, 2), left(entry, 1) = 't' FROM regexp_split_to_table(shape, '\n') AS entry
          WHERE entry <> '') AS named (key, is_text)
) AS judged
$$;

-- Whether metrics hold other conversions than the column: platforms count them in fractions, which the column cannot hold.
CREATE FUNCTION boris_ingestd_has_conversions(conversions bigint, metrics jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT EXISTS (
    SELECT FROM jsonb_each_text(metrics || coalesce(nullif(metrics -> 'metrics', 'null'), '{}')) AS entry (key, value)
    WHERE lower(key) IN ('conversions', 'metrics.conversions', 'metrics_conversions', 'fractional_conversions')
      AND CASE WHEN value ~ '^[0-9]{1,30}(\.[0-9]{1,30})?$' THEN value::numeric <> coalesce(conversions, 0) END)
$$;

CREATE FUNCTION boris_ingestd_fractional(conversions bigint, metrics jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE WHEN metrics ?| '{conversions,metrics.conversions,metrics_conversions,Conversions,fractional_conversions,metrics}'
    THEN public.boris_ingestd_has_conversions(conversions, metrics) ELSE false END
$$;

-- Some platforms' periods end in second 59: that is the minute's end.
CREATE FUNCTION boris_ingestd_period_end(period_end timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT greatest(period_end, date_bin('1 minute', period_end + interval '1 second', '2000-01-01 00:00:00+00'::timestamptz))
$$;

-- --- what was collected last ---

-- The ad objects of all accounts, of one account, or one object and all below it. object_id is the same for rows that
-- several platform connections brought of one object, and number stands for it, shorter; parent_id is a parent's object_id.
CREATE FUNCTION boris_ingestd_objects(account uuid, object uuid)
RETURNS TABLE (id uuid, object_id uuid, number integer, parent_id uuid, place bigint, zone text, platform public.platform, account_external_id text,
               external_id text, type public.ad_object_type, name text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH account AS (
    SELECT id, platform, external_id, coalesce(zone, 'UTC') AS zone,
           row_number() OVER (PARTITION BY platform, external_id ORDER BY place) AS place
    FROM public.boris_ingestd_accounts() WHERE $1 IS NULL OR id = $1
), known AS MATERIALIZED (
    SELECT o.id, o.parent_id, a.place, a.zone, a.platform, a.external_id AS account_external_id, o.external_id, o.type, o.name,
           first_value(o.id) OVER (PARTITION BY a.platform, a.external_id, o.external_id ORDER BY a.place) AS object_id
    FROM account a JOIN public.ad_objects o ON o.ad_account_id = a.id
    LEFT JOIN public.ad_objects p ON p.id = o.parent_id
    WHERE $2 IS NULL OR $2 IN (o.id, o.parent_id, p.parent_id)
)
SELECT k.id, k.object_id, (dense_rank() OVER (ORDER BY k.object_id))::integer, p.object_id, k.place, k.zone, k.platform, k.account_external_id, k.external_id, k.type, k.name
FROM known k LEFT JOIN known p ON p.id = k.parent_id
$$;

-- The row that was collected last of each object and period, and what is around it. Days are the account's; from_at and to_at
-- may be given instead of a day. Periods that begin before the range and reach into it are there, too.
--
-- A restatement may come at any time after its period began, so later chunks are all read. Earlier ones are not: a row that
-- was collected more than 31 days before its period began is a plan, and does not count. The planner sees one scan of
-- spending, whose bounds are constants, one sort, and one window. Rows are kept short, for they are sorted and kept: what is
-- usual is NULL.
CREATE FUNCTION boris_ingestd_newest(
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
    SELECT id, number, nullif(place, 1) AS place, coalesce($5, $1::timestamp AT TIME ZONE zone) AS from_at,
           coalesce($6, $2::timestamp AT TIME ZONE zone) AS to_at
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

-- --- remainders ---

-- What is left of @own when @below is taken out of it. If @below was collected later and explains more than there is, nothing
-- is left; else a difference of any sign counts.
CREATE FUNCTION boris_ingestd_remainder(own numeric, below numeric, later boolean) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE WHEN later AND own * (own - coalesce(below, 0)) <= 0 THEN 0 ELSE own - coalesce(below, 0) END
$$;

-- The four sums of objects and periods as they were at a moment of each: of the first collection at or after it. Called once for
-- all that belongs together, for a plan of many chunks takes long to start.
CREATE FUNCTION boris_ingestd_as_of(
    objects uuid[], starts timestamptz[], ends timestamptz[], currencies text[], moments timestamptz[])
RETURNS TABLE (place integer, amount_cents numeric, impressions numeric, clicks numeric, conversions numeric)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
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
), families AS (
    SELECT CASE WHEN bool_or(d.known <> '') OVER (PARTITION BY place) THEN d.known ELSE d.texts END AS family, c.*
    FROM collection c, LATERAL public.boris_ingestd_dimensions(public.boris_ingestd_shape(c.metrics)) AS d WHERE collection = 1
)
SELECT DISTINCT ON (place) place, sum(amount_cents), sum(impressions), sum(clicks), sum(conversions)
FROM families GROUP BY place, family
ORDER BY place, CASE family WHEN '' THEN 0 ELSE cardinality(string_to_array(family, ', ')) END, abs(sum(amount_cents)) DESC,
         family COLLATE "C"
$$;

-- Of periods that hang together, in the order of their starts, the longest first: those that count, each with the shortest one
-- that contains it, both as places in the arrays. Of two that overlap and neither contains the other, the one that was
-- collected later counts.
CREATE FUNCTION boris_ingestd_untangle(starts timestamptz[], ends timestamptz[], collected timestamptz[])
RETURNS TABLE (place integer, above integer)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 20 AS $$
DECLARE
    counted integer[] := ARRAY(SELECT generate_subscripts(starts, 1));
    stack integer[] := '{}';
    crossing boolean := false;
    candidate integer;
BEGIN
    FOR attempt IN 1..2 LOOP
        stack := '{}';
        FOREACH candidate IN ARRAY counted LOOP
            WHILE cardinality(stack) > 0 AND ends[stack[cardinality(stack)]] <= starts[candidate] LOOP
                stack := trim_array(stack, 1);
            END LOOP;
            crossing := crossing OR coalesce(ends[stack[cardinality(stack)]] < ends[candidate], false);
            EXIT WHEN crossing AND attempt = 1;
            IF attempt = 2 THEN
                place := candidate;
                above := stack[cardinality(stack)];
                RETURN NEXT;
            END IF;
            stack := stack || candidate;
        END LOOP;
        IF crossing AND attempt = 1 THEN
            counted := '{}';
            FOR candidate IN
                SELECT i FROM generate_subscripts(starts, 1) AS i ORDER BY collected[i] DESC, starts[i] DESC, i
            LOOP
                IF NOT EXISTS (SELECT FROM unnest(counted) AS c
                               WHERE (starts[c] < starts[candidate] AND starts[candidate] < ends[c] AND ends[c] < ends[candidate])
                                  OR (starts[candidate] < starts[c] AND starts[c] < ends[candidate]
                                      AND ends[candidate] < ends[c])) THEN
                    counted := counted || candidate;
                END IF;
            END LOOP;
            counted := ARRAY(SELECT c FROM unnest(counted) AS c ORDER BY c);
        END IF;
    END LOOP;
END
$$;

-- Each object once, with the object at the top, and the numbers of the ad set and the campaign that it belongs to.
CREATE FUNCTION boris_ingestd_tree(account uuid, object uuid)
RETURNS TABLE (object_id uuid, number integer, zone text, platform public.platform, account_external_id text, external_id text,
               type public.ad_object_type, name text, top uuid, ad_set integer, campaign integer)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH node AS MATERIALIZED (
    SELECT DISTINCT ON (object_id) * FROM public.boris_ingestd_objects($1, $2)
    ORDER BY object_id, parent_id IS NULL, place
)
SELECT n.object_id, n.number, n.zone, n.platform, n.account_external_id, n.external_id, n.type, n.name,
       coalesce(g.object_id, p.object_id, n.object_id),
       CASE 'AD_SET'::public.ad_object_type WHEN n.type THEN n.number WHEN p.type THEN p.number END,
       CASE 'CAMPAIGN'::public.ad_object_type WHEN n.type THEN n.number WHEN p.type THEN p.number WHEN g.type THEN g.number END
FROM node n LEFT JOIN node p ON p.object_id = n.parent_id LEFT JOIN node g ON g.object_id = p.parent_id
$$;

-- --- what was spent ---

-- The work of boris_ingestd_latest and boris_ingestd_spending below; @rules: whether those of the second apply.
CREATE FUNCTION boris_ingestd_pieces(
    from_day date, to_day date, account uuid, object uuid, from_at timestamptz, to_at timestamptz, rules boolean)
RETURNS TABLE (
    number integer, period_start timestamptz, period_end timestamptz, collected_at timestamptz, currency text,
    amount_cents numeric, impressions numeric, clicks numeric, conversions numeric, records bigint, fractional bigint,
    breakdown text, part text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH several AS MATERIALIZED (
    SELECT * FROM public.boris_ingestd_newest($1, $2, $3, $4, $5, $6)
), present AS MATERIALIZED ( -- what there is of each object: what there is not, is not looked for below
    SELECT number, bool_or(has_more) AS has_more, bool_or(tangled) AS tangled, max(container) AS container,
           max(period_end) FILTER (WHERE reaches_out AND outside IS NOT TRUE) AS reach
    FROM several GROUP BY number
), rest AS MATERIALIZED ( -- what begins after the range, in a period that reaches out of it
    SELECT l.number, l.place, l.period_start, l.period_end, l.stored_end, l.collected_at, l.collected_before, l.currency,
           l.amount_cents, l.impressions, l.clicks, l.conversions, l.fractional, true AS outside, l.reaches_out, l.has_more,
           l.container, l.tangled
    FROM (SELECT max(reach) AS until FROM present WHERE $7) AS reach,
         LATERAL public.boris_ingestd_newest($2, NULL, $3, $4, $6, reach.until) AS l
    WHERE reach.until IS NOT NULL AND l.outside IS NOT TRUE
), raw AS NOT MATERIALIZED (
    SELECT * FROM several
    UNION ALL SELECT * FROM rest
),
-- Breakdowns: one family of each object, period and collection.
known AS MATERIALIZED (
    SELECT id, number, nullif(place, 1) AS place FROM public.boris_ingestd_objects($3, $4)
), shaped AS (
    SELECT m.number, m.period_start, m.period_end, nullif(s.period_end, m.period_end) AS stored_end, m.collected_at, m.outside,
           m.container, s.currency, s.amount_cents, s.impressions, s.clicks, s.conversions,
           public.boris_ingestd_fractional(s.conversions, s.metrics) AS fractional,
           coalesce((SELECT string_agg('-' || key, E'\n')
                     FROM jsonb_object_keys(CASE jsonb_typeof(s.metrics) WHEN 'object' THEN s.metrics END) AS key
                     WHERE key = ANY (public.boris_ingestd_dimension_names()) AND s.metrics -> key <> 'null'),
                    public.boris_ingestd_shape(s.metrics)) COLLATE "C" AS shape
    FROM raw m
    JOIN known o ON o.number = m.number AND o.place IS NOT DISTINCT FROM m.place
    -- coalesce() keeps indexes out of this join: one scan and a hash table, whatever the planner guesses
    JOIN public.spending s ON coalesce(s.ad_object_id, s.id) = o.id
        AND coalesce(s.collected_at, s.period_end) = m.collected_at AND s.period_start = m.period_start
        AND public.boris_ingestd_period_end(s.period_end) = m.period_end
    WHERE m.has_more AND ((SELECT bool_or(has_more) FROM present) OR EXISTS (SELECT FROM rest))
      AND s.collected_at >= (coalesce($5 AT TIME ZONE 'UTC', $1::timestamp - interval '15 hours') - interval '31 days')
                            AT TIME ZONE 'UTC'
    OFFSET 0 -- metrics are not sorted
), of_shape AS MATERIALIZED (
    SELECT number, period_start, period_end, shape, collected_at, currency, max(stored_end) AS stored_end,
           sum(amount_cents) AS amount_cents, sum(impressions) AS impressions, sum(clicks) AS clicks,
           sum(conversions) AS conversions, count(*) AS records, count(*) FILTER (WHERE fractional) AS fractional,
           bool_or(outside) AS outside, max(container) AS container
    FROM shaped GROUP BY number, period_start, period_end, shape, collected_at, currency
), shapes AS MATERIALIZED (
    SELECT shape, d.known, d.texts
    FROM (SELECT DISTINCT shape FROM of_shape) AS s, LATERAL public.boris_ingestd_dimensions(s.shape) AS d
), of_family AS (
    SELECT number, period_start, period_end, family, collected_at, currency, max(stored_end) AS stored_end,
           sum(amount_cents) AS amount_cents, sum(impressions) AS impressions, sum(clicks) AS clicks,
           sum(conversions) AS conversions, sum(records)::bigint AS records, sum(fractional)::bigint AS fractional,
           bool_or(outside) AS outside, max(container) AS container,
           CASE family WHEN '' THEN 0 ELSE cardinality(string_to_array(family, ', ')) END AS dimensions,
           max(abs(sum(amount_cents))) OVER (PARTITION BY number, period_start, period_end, family) AS largest
    FROM (
        SELECT o.*, CASE WHEN bool_or(d.known <> '') OVER (PARTITION BY number, period_start, period_end)
                    THEN d.known ELSE d.texts END AS family
        FROM of_shape o JOIN shapes d USING (shape)
    ) AS o
    GROUP BY number, period_start, period_end, family, collected_at, currency
), family AS MATERIALIZED (
    SELECT * FROM (
        SELECT *, dense_rank() OVER (PARTITION BY number, period_start, period_end
                                     ORDER BY dimensions, largest DESC, family COLLATE "C") AS choice
        FROM of_family
    ) AS choices WHERE choice < 2
), latest AS NOT MATERIALIZED (
    SELECT number, period_start, period_end, stored_end, collected_at, collected_before, currency, amount_cents, impressions,
           clicks, conversions, 1::bigint AS records, CASE WHEN fractional THEN 1::bigint ELSE 0 END AS fractional,
           NULL::text AS breakdown, outside, container
    FROM raw WHERE has_more IS NOT TRUE
    UNION ALL
    SELECT number, period_start, period_end, stored_end, collected_at, collected_at, currency, amount_cents, impressions,
           clicks, conversions, records, fractional, nullif(family, ''), outside, container
    FROM family
), tree AS MATERIALIZED (
    SELECT number, object_id, type, ad_set, campaign FROM public.boris_ingestd_tree($3, $4)
),
-- Hours and their day. In most cases one period contains others, which do not overlap each other.
below AS MATERIALIZED (
    SELECT number, container, currency, max(collected_at) AS latest_below, max(collected_before) AS latest_before,
           sum(amount_cents) AS amount_below, sum(impressions) AS impressions_below, sum(clicks) AS clicks_below,
           sum(conversions) AS conversions_below
    FROM latest WHERE container IS NOT NULL AND (SELECT max(container) FROM present) IS NOT NULL
    GROUP BY number, container, currency
), tangled AS MATERIALIZED ( -- objects with other cases
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
    FROM latest WHERE number IN (SELECT number FROM tangled) AND EXISTS (SELECT FROM tangled)
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
), piece AS NOT MATERIALIZED (
    SELECT number, period_start, period_end, collected_at, collected_before, currency, amount_cents, impressions,
           clicks, conversions, records, fractional, breakdown, outside, NULL::text AS part
    FROM latest
    WHERE NOT EXISTS (SELECT FROM below) AND (NOT EXISTS (SELECT FROM tangled) OR number NOT IN (SELECT number FROM tangled))
    UNION ALL
    SELECT l.number, l.period_start, l.period_end, l.collected_at, CASE WHEN b.number IS NULL THEN l.collected_before END AS collected_before,
           l.currency,
           CASE WHEN b.number IS NULL THEN amount_cents
           ELSE public.boris_ingestd_remainder(amount_cents, amount_below, latest_below > collected_at) END AS amount_cents,
           CASE WHEN b.number IS NULL THEN impressions
           ELSE public.boris_ingestd_remainder(impressions, impressions_below, latest_below > collected_at) END AS impressions,
           CASE WHEN b.number IS NULL THEN clicks
           ELSE public.boris_ingestd_remainder(clicks, clicks_below, latest_below > collected_at) END AS clicks,
           CASE WHEN b.number IS NULL THEN conversions
           ELSE public.boris_ingestd_remainder(conversions, conversions_below, latest_below > collected_at) END AS conversions,
           records, fractional, breakdown, outside, CASE WHEN b.number IS NOT NULL THEN 'not attributed to shorter periods' END AS part
    FROM latest l LEFT JOIN below b ON l.container IS NULL AND b.number = l.number AND b.container = l.period_end
                                       AND b.currency = l.currency
    WHERE EXISTS (SELECT FROM below) AND (NOT EXISTS (SELECT FROM tangled) OR l.number NOT IN (SELECT number FROM tangled))
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
),
-- Campaign, ad set and ad: first each ad set and its ads, then each campaign and all below it.
upper AS MATERIALIZED (
    SELECT number FROM tree WHERE type <> 'AD'
    AND number IN (SELECT p.number FROM present p UNION ALL SELECT r.number FROM rest r)
), place_in_tree AS MATERIALIZED (
    SELECT t.number, t.object_id, s.number AS ad_set, c.number AS campaign
    FROM tree t LEFT JOIN upper s ON s.number = t.ad_set LEFT JOIN upper c ON c.number = t.campaign
), placed AS MATERIALIZED (
    SELECT p.*, t.ad_set, t.campaign
    FROM piece p JOIN place_in_tree t USING (number)
    WHERE (t.ad_set IS NOT NULL OR t.campaign IS NOT NULL) AND EXISTS (SELECT FROM upper)
      AND (p.part IS NULL OR (p.amount_cents, coalesce(p.impressions, 0), coalesce(p.clicks, 0), coalesce(p.conversions, 0)) <> (0, 0, 0, 0))
),
in_ad_set_periods AS ( -- what an ad_set and the objects below it have of each period
    SELECT ad_set, number = ad_set AS own, period_start, period_end, currency, min(collected_at) AS first_collected,
           max(collected_at) AS last_collected, max(collected_before) FILTER (WHERE part IS NULL) AS collected_before,
           bool_or(outside) AS outside, min(breakdown) AS breakdown, sum(records) AS records, sum(fractional) AS fractional,
           min(campaign) AS campaign_of, sum(amount_cents) AS amount_cents, sum(impressions) AS impressions,
           sum(clicks) AS clicks, sum(conversions) AS conversions
    FROM placed WHERE ad_set IS NOT NULL GROUP BY ad_set, number = ad_set, period_start, period_end, currency
), in_ad_set_rows AS MATERIALIZED ( -- periods that hang together have the same stretch
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY ad_set ORDER BY period_start ROWS UNBOUNDED PRECEDING) AS stretch
    FROM (
        SELECT *, coalesce(max(period_end) OVER (PARTITION BY ad_set ORDER BY period_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                           <= period_start, true) AS begins
        FROM in_ad_set_periods
    ) AS began
), in_ad_set_sums AS MATERIALIZED (
    SELECT *, sum(below) OVER (PARTITION BY ad_set, stretch) AS below_any
    FROM (
        SELECT ad_set, stretch, currency, count(*) FILTER (WHERE NOT own) AS below,
               min(first_collected) FILTER (WHERE own) AS own_collected, max(last_collected) FILTER (WHERE NOT own) AS latest_below,
               max(collected_before) FILTER (WHERE NOT own) AS latest_before,
               min(period_start) FILTER (WHERE own) AS own_start, max(period_end) FILTER (WHERE own) AS own_end,
               bool_or(outside) FILTER (WHERE own) AS own_outside, min(breakdown) FILTER (WHERE own) AS breakdown,
               sum(records) FILTER (WHERE own) AS records, sum(fractional) FILTER (WHERE own) AS fractional,
               min(campaign_of) AS campaign_of,
               sum(period_end - period_start) FILTER (WHERE own) < max(period_end) - min(period_start) AS own_is_shorter,
               sum(amount_cents) FILTER (WHERE own) AS own_amount, sum(impressions) FILTER (WHERE own) AS own_impressions,
               sum(clicks) FILTER (WHERE own) AS own_clicks, sum(conversions) FILTER (WHERE own) AS own_conversions,
               sum(amount_cents) FILTER (WHERE NOT own) AS amount_below, sum(impressions) FILTER (WHERE NOT own) AS impressions_below,
               sum(clicks) FILTER (WHERE NOT own) AS clicks_below, sum(conversions) FILTER (WHERE NOT own) AS conversions_below
        FROM in_ad_set_rows GROUP BY ad_set, stretch, currency
    ) AS summed
), in_ad_set_restated AS MATERIALIZED ( -- what was collected again after an ad_set: as it was then
    SELECT ad_set, stretches[o.place] AS stretch, currencies[o.place] AS currency,
           sum(o.amount_cents - coalesce(amounts[o.place], 0)) AS amount_change,
           sum(o.impressions - coalesce(impressions_now[o.place], 0)) AS impressions_change,
           sum(o.clicks - coalesce(clicks_now[o.place], 0)) AS clicks_change,
           sum(o.conversions - coalesce(conversions_now[o.place], 0)) AS conversions_change
    FROM (
        SELECT s.ad_set, array_agg(stretch) AS stretches, array_agg(t.object_id) AS objects, array_agg(r.period_start) AS starts,
               array_agg(r.period_end) AS ends, array_agg(currency) AS currencies, array_agg(s.own_collected) AS moments,
               array_agg(r.amount_cents) AS amounts, array_agg(r.impressions) AS impressions_now,
               array_agg(r.clicks) AS clicks_now, array_agg(r.conversions) AS conversions_now
        FROM in_ad_set_sums s JOIN in_ad_set_rows p USING (ad_set, stretch, currency)
        JOIN placed r USING (ad_set, period_start, period_end, currency) JOIN tree t ON t.number = r.number
        WHERE NOT p.own AND r.number <> r.ad_set AND r.part IS NULL AND r.collected_before >= s.own_collected
          AND (SELECT bool_or(latest_before >= own_collected) FROM in_ad_set_sums)
        GROUP BY s.ad_set
    ) AS asked, LATERAL public.boris_ingestd_as_of(objects, starts, ends, currencies, moments) AS o
    GROUP BY 1, 2, 3
), in_ad_set_rest AS (
    SELECT ad_set, own_start, own_end, own_collected, currency, records::bigint, fractional::bigint, breakdown, own_outside, campaign_of,
           public.boris_ingestd_remainder(own_amount, coalesce(amount_below, 0) + coalesce(amount_change, 0), latest_below > own_collected OR own_is_shorter) AS amount,
           public.boris_ingestd_remainder(own_impressions, coalesce(impressions_below, 0) + coalesce(impressions_change, 0),
                                          latest_below > own_collected OR own_is_shorter) AS impressions,
           public.boris_ingestd_remainder(own_clicks, coalesce(clicks_below, 0) + coalesce(clicks_change, 0), latest_below > own_collected OR own_is_shorter) AS clicks,
           public.boris_ingestd_remainder(own_conversions, coalesce(conversions_below, 0) + coalesce(conversions_change, 0),
                                          latest_below > own_collected OR own_is_shorter) AS conversions
    FROM in_ad_set_sums LEFT JOIN in_ad_set_restated USING (ad_set, stretch, currency)
    WHERE own_collected IS NOT NULL AND below > 0 AND below = below_any
), after_ad_sets AS MATERIALIZED (
    SELECT * FROM placed WHERE ad_set IS NULL OR number <> ad_set
    UNION ALL
    SELECT * FROM placed
    WHERE number = ad_set AND (ad_set, period_start, period_end, currency) IN (
        SELECT ad_set, period_start, period_end, currency FROM in_ad_set_rows JOIN in_ad_set_sums USING (ad_set, stretch, currency)
        WHERE own AND below_any = 0)
    UNION ALL
    SELECT ad_set, own_start, own_end, own_collected, NULL, currency, amount, impressions, clicks, conversions, records, fractional,
           breakdown, own_outside, 'not attributed to ads', ad_set, campaign_of
    FROM in_ad_set_rest
    WHERE (amount, coalesce(impressions, 0), coalesce(clicks, 0), coalesce(conversions, 0)) <> (0, 0, 0, 0)
),
in_campaign_periods AS ( -- what a campaign and the objects below it have of each period
    SELECT campaign, number = campaign AS own, period_start, period_end, currency, min(collected_at) AS first_collected,
           max(collected_at) AS last_collected, max(collected_before) FILTER (WHERE part IS NULL) AS collected_before,
           bool_or(outside) AS outside, min(breakdown) AS breakdown, sum(records) AS records, sum(fractional) AS fractional,
           min(campaign) AS campaign_of, sum(amount_cents) AS amount_cents, sum(impressions) AS impressions,
           sum(clicks) AS clicks, sum(conversions) AS conversions
    FROM after_ad_sets WHERE campaign IS NOT NULL GROUP BY campaign, number = campaign, period_start, period_end, currency
), in_campaign_rows AS MATERIALIZED ( -- periods that hang together have the same stretch
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY campaign ORDER BY period_start ROWS UNBOUNDED PRECEDING) AS stretch
    FROM (
        SELECT *, coalesce(max(period_end) OVER (PARTITION BY campaign ORDER BY period_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                           <= period_start, true) AS begins
        FROM in_campaign_periods
    ) AS began
), in_campaign_sums AS MATERIALIZED (
    SELECT *, sum(below) OVER (PARTITION BY campaign, stretch) AS below_any
    FROM (
        SELECT campaign, stretch, currency, count(*) FILTER (WHERE NOT own) AS below,
               min(first_collected) FILTER (WHERE own) AS own_collected, max(last_collected) FILTER (WHERE NOT own) AS latest_below,
               max(collected_before) FILTER (WHERE NOT own) AS latest_before,
               min(period_start) FILTER (WHERE own) AS own_start, max(period_end) FILTER (WHERE own) AS own_end,
               bool_or(outside) FILTER (WHERE own) AS own_outside, min(breakdown) FILTER (WHERE own) AS breakdown,
               sum(records) FILTER (WHERE own) AS records, sum(fractional) FILTER (WHERE own) AS fractional,
               min(campaign_of) AS campaign_of,
               sum(period_end - period_start) FILTER (WHERE own) < max(period_end) - min(period_start) AS own_is_shorter,
               sum(amount_cents) FILTER (WHERE own) AS own_amount, sum(impressions) FILTER (WHERE own) AS own_impressions,
               sum(clicks) FILTER (WHERE own) AS own_clicks, sum(conversions) FILTER (WHERE own) AS own_conversions,
               sum(amount_cents) FILTER (WHERE NOT own) AS amount_below, sum(impressions) FILTER (WHERE NOT own) AS impressions_below,
               sum(clicks) FILTER (WHERE NOT own) AS clicks_below, sum(conversions) FILTER (WHERE NOT own) AS conversions_below
        FROM in_campaign_rows GROUP BY campaign, stretch, currency
    ) AS summed
), in_campaign_restated AS MATERIALIZED ( -- what was collected again after a campaign: as it was then
    SELECT campaign, stretches[o.place] AS stretch, currencies[o.place] AS currency,
           sum(o.amount_cents - coalesce(amounts[o.place], 0)) AS amount_change,
           sum(o.impressions - coalesce(impressions_now[o.place], 0)) AS impressions_change,
           sum(o.clicks - coalesce(clicks_now[o.place], 0)) AS clicks_change,
           sum(o.conversions - coalesce(conversions_now[o.place], 0)) AS conversions_change
    FROM (
        SELECT s.campaign, array_agg(stretch) AS stretches, array_agg(t.object_id) AS objects, array_agg(r.period_start) AS starts,
               array_agg(r.period_end) AS ends, array_agg(currency) AS currencies, array_agg(s.own_collected) AS moments,
               array_agg(r.amount_cents) AS amounts, array_agg(r.impressions) AS impressions_now,
               array_agg(r.clicks) AS clicks_now, array_agg(r.conversions) AS conversions_now
        FROM in_campaign_sums s JOIN in_campaign_rows p USING (campaign, stretch, currency)
        JOIN after_ad_sets r USING (campaign, period_start, period_end, currency) JOIN tree t ON t.number = r.number
        WHERE NOT p.own AND r.number <> r.campaign AND r.part IS NULL AND r.collected_before >= s.own_collected
          AND (SELECT bool_or(latest_before >= own_collected) FROM in_campaign_sums)
        GROUP BY s.campaign
    ) AS asked, LATERAL public.boris_ingestd_as_of(objects, starts, ends, currencies, moments) AS o
    GROUP BY 1, 2, 3
), in_campaign_rest AS (
    SELECT campaign, own_start, own_end, own_collected, currency, records::bigint, fractional::bigint, breakdown, own_outside, campaign_of,
           public.boris_ingestd_remainder(own_amount, coalesce(amount_below, 0) + coalesce(amount_change, 0), latest_below > own_collected OR own_is_shorter) AS amount,
           public.boris_ingestd_remainder(own_impressions, coalesce(impressions_below, 0) + coalesce(impressions_change, 0),
                                          latest_below > own_collected OR own_is_shorter) AS impressions,
           public.boris_ingestd_remainder(own_clicks, coalesce(clicks_below, 0) + coalesce(clicks_change, 0), latest_below > own_collected OR own_is_shorter) AS clicks,
           public.boris_ingestd_remainder(own_conversions, coalesce(conversions_below, 0) + coalesce(conversions_change, 0),
                                          latest_below > own_collected OR own_is_shorter) AS conversions
    FROM in_campaign_sums LEFT JOIN in_campaign_restated USING (campaign, stretch, currency)
    WHERE own_collected IS NOT NULL AND below > 0 AND below = below_any
), in_campaign AS (
    SELECT * FROM after_ad_sets WHERE campaign IS NULL OR number <> campaign
    UNION ALL
    SELECT * FROM after_ad_sets
    WHERE number = campaign AND (campaign, period_start, period_end, currency) IN (
        SELECT campaign, period_start, period_end, currency FROM in_campaign_rows JOIN in_campaign_sums USING (campaign, stretch, currency)
        WHERE own AND below_any = 0)
    UNION ALL
    SELECT campaign, own_start, own_end, own_collected, NULL, currency, amount, impressions, clicks, conversions, records, fractional,
           breakdown, own_outside, 'not attributed to ads', NULL::integer, campaign_of
    FROM in_campaign_rest
    WHERE (amount, coalesce(impressions, 0), coalesce(clicks, 0), coalesce(conversions, 0)) <> (0, 0, 0, 0)
)
SELECT p.number, p.period_start, p.period_end, p.collected_at, p.currency, p.amount_cents, p.impressions, p.clicks,
       p.conversions, p.records, p.fractional, p.breakdown, p.part
FROM (
    SELECT p.number, p.period_start, p.period_end, p.collected_at, p.currency, p.amount_cents, p.impressions, p.clicks,
           p.conversions, p.records, p.fractional, p.breakdown, p.outside, p.part
    FROM piece p
    WHERE (NOT EXISTS (SELECT FROM upper)
           OR p.number NOT IN (SELECT number FROM place_in_tree WHERE ad_set IS NOT NULL OR campaign IS NOT NULL))
      AND (p.part IS NULL OR (p.amount_cents, coalesce(p.impressions, 0), coalesce(p.clicks, 0), coalesce(p.conversions, 0)) <> (0, 0, 0, 0))
    UNION ALL
    SELECT number, period_start, period_end, collected_at, currency, amount_cents, impressions, clicks, conversions, records,
           fractional, breakdown, outside, part
    FROM in_campaign
) AS p
WHERE p.outside IS NOT TRUE AND $7
UNION ALL
SELECT number, period_start, coalesce(stored_end, period_end), collected_at, currency, amount_cents, impressions, clicks,
       conversions, records, fractional, breakdown, NULL
FROM latest WHERE outside IS NOT TRUE AND NOT $7
$$;

-- The functions for everybody. They are not inlined into the caller's query: its planner would guess millions of rows, and
-- compile a plan of fifty chunks for longer than the plan runs. The query is planned for its own arguments, which leaves out
-- chunks, and hash tables of at most 8 times work_mem replace sorts. Not marked parallel safe, so that the query itself may
-- use parallel workers.

-- What was collected last, of each object and period that begins in the range: sums of one breakdown.
CREATE FUNCTION boris_ingestd_latest(
    from_day date, to_day date, account uuid DEFAULT NULL, object uuid DEFAULT NULL,
    from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL)
RETURNS TABLE (
    object_id uuid, breakdown text, period_start timestamptz, period_end timestamptz, collected_at timestamptz, currency text,
    amount_cents numeric, impressions numeric, clicks numeric, conversions numeric, records bigint, fractional bigint)
LANGUAGE plpgsql STABLE SET jit = off SET hash_mem_multiplier = 8 SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY EXECUTE '
        SELECT t.object_id, p.breakdown, p.period_start, p.period_end, p.collected_at, p.currency, p.amount_cents,
               p.impressions, p.clicks, p.conversions, p.records, p.fractional
        FROM public.boris_ingestd_pieces($1, $2, $3, $4, $5, $6, false) AS p
        JOIN public.boris_ingestd_tree($3, $4) AS t USING (number)'
    USING from_day, to_day, account, object, from_at, to_at;
END
$$;

-- Rows that may be added up: no money is in two of them.
CREATE FUNCTION boris_ingestd_spending(
    from_day date, to_day date, account uuid DEFAULT NULL, object uuid DEFAULT NULL,
    from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL)
RETURNS TABLE (
    platform public.platform, account_external_id text, zone text,
    object_id uuid, object_external_id text, object_type public.ad_object_type, object_name text,
    campaign_id uuid, part text, breakdown text,
    period_start timestamptz, period_end timestamptz, local_start timestamp, collected_at timestamptz, currency text,
    amount_cents numeric, impressions numeric, clicks numeric, conversions numeric, records bigint, fractional bigint)
LANGUAGE plpgsql STABLE SET jit = off SET hash_mem_multiplier = 8 SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY EXECUTE '
        SELECT t.platform, t.account_external_id, t.zone, t.object_id, t.external_id, t.type, t.name, t.top, p.part, p.breakdown,
               p.period_start, p.period_end, p.period_start AT TIME ZONE t.zone, p.collected_at, p.currency,
               p.amount_cents, p.impressions, p.clicks, p.conversions, p.records, p.fractional
        FROM public.boris_ingestd_pieces($1, $2, $3, $4, $5, $6, true) AS p
        JOIN public.boris_ingestd_tree($3, $4) AS t USING (number)'
    USING from_day, to_day, account, object, from_at, to_at;
END
$$;

-- Each stored row of an object, of the periods that begin in the range, and why it counts or not. An account's own days.
CREATE FUNCTION boris_ingestd_explain(
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
), stored AS (
    SELECT s.period_start, public.boris_ingestd_period_end(s.period_end) AS ends, s.period_end, s.collected_at, s.currency,
           s.amount_cents,
           nullif(CASE WHEN bool_or(d.known <> '') OVER (PARTITION BY s.period_start, s.collected_at, public.boris_ingestd_period_end(s.period_end))
                  THEN d.known ELSE d.texts END, '') AS breakdown
    FROM public.spending s JOIN public.boris_ingestd_objects($3, $4) o ON o.id = s.ad_object_id AND o.object_id = $4,
         LATERAL public.boris_ingestd_dimensions(public.boris_ingestd_shape(s.metrics)) AS d
    WHERE s.period_start >= coalesce($5, $1::timestamp AT TIME ZONE o.zone)
      AND s.period_start < coalesce($6, $2::timestamp AT TIME ZONE o.zone)
)
SELECT s.period_start, s.period_end, s.collected_at, s.currency, s.amount_cents, s.breakdown,
       CASE WHEN l.collected_at IS NULL OR p.object_id IS NULL THEN 0 WHEN p.part IS NULL THEN s.amount_cents ELSE p.amount_cents END,
       CASE
       WHEN s.collected_at < s.period_start - interval '744 hours' THEN 'left out: collected more than 31 days before its period began'
       WHEN l.collected_at IS NULL AND s.collected_at < n.collected_at
       THEN 'left out: restated, collected again at ' || to_char(n.collected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
       WHEN l.collected_at IS NULL
       THEN 'left out: another breakdown of the same collection counts: ' || coalesce(n.breakdown, 'the total')
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
     AND l.currency = s.currency AND (l.breakdown IS NOT DISTINCT FROM s.breakdown OR l.records = 1 AND l.breakdown IS NULL)
LEFT JOIN LATERAL (SELECT * FROM piece p WHERE p.currency = s.currency AND p.period_start = s.period_start AND
                   CASE WHEN p.part IS NULL THEN p.period_end = s.ends ELSE p.period_end >= s.ends END
                   ORDER BY p.part IS NULL DESC LIMIT 1) AS p ON true
ORDER BY s.period_start, s.ends, s.collected_at, s.breakdown, s.amount_cents DESC
$$;
