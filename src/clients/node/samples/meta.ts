// A sync job for Meta's Marketing API: npx tsx meta.ts ACCOUNT SINCE UNTIL (from Node 22.18 on also without npx tsx: node meta.ts). $META_TOKEN is
// the access token, $CONNECTION_ID the id of the row in platform_connections, $BORIS_INGESTD_URL the daemon, if it does not listen on the default
// socket.
import { send, type AdObjectRecord, type IngestRecord } from "boris-ingestd-client";
import { dayIn, minorUnits } from "boris-ingestd-client/convert";

const API = process.env["META_API"] ?? "https://graph.facebook.com/v26.0";

interface Account { name: string; currency: string; timezone_name: string }
interface Node { id: string; name: string; effective_status: string }
interface Ad extends Node { adset: Node; campaign: Node }
interface Insight { ad_id: string; date_start: string; spend: string; impressions: string; clicks: string; actions?: { action_type: string; value: string }[] }

async function get<T>(url: string): Promise<T> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${process.env["META_TOKEN"] ?? ""}` } });
  if (!response.ok) throw new Error(`Meta answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
  return await response.json() as T;
}

/** The rows of all pages. */
async function* rows<T>(path: string): AsyncGenerator<T> {
  let next: string | undefined = `${API}/${path}`;
  while (next !== undefined) {
    const page: { data: T[]; paging?: { next?: string } } = await get(next);
    yield* page.data;
    next = page.paging?.next;
  }
}

// without this filter archived ads are left out, and their spending would have no ad; deleted ones have no insights here either
const EVERY_STATUS = ["ACTIVE", "PAUSED", "PENDING_REVIEW", "DISAPPROVED", "PREAPPROVED", "PENDING_BILLING_INFO", "CAMPAIGN_PAUSED", "ADSET_PAUSED",
  "IN_PROCESS", "WITH_ISSUES", "ARCHIVED"];
const STATUS: Readonly<Record<string, AdObjectRecord["status"]>> = { ACTIVE: "ACTIVE", ARCHIVED: "ARCHIVED", DELETED: "DELETED" };

async function* records(account: string, connectionId: string, since: string, until: string): AsyncGenerator<IngestRecord> {
  const collectedAt = new Date(); // one moment for the whole collection
  const { name, currency, timezone_name: zone } = await get<Account>(`${API}/${account}?fields=name,currency,timezone_name`);
  yield { kind: "adAccount", connectionId, externalId: account, name, currency, timezone: zone };

  const seen = new Set<string>();
  const object = (type: AdObjectRecord["type"], node: Node, parentExternalId: string | null): AdObjectRecord => ({
    kind: "adObject", platform: "META", accountExternalId: account, externalId: node.id, type, name: node.name,
    status: STATUS[node.effective_status] ?? "PAUSED", parentExternalId,
  });
  const statuses = encodeURIComponent(JSON.stringify(EVERY_STATUS));
  const fields = "id,name,effective_status,adset{id,name,effective_status},campaign{id,name,effective_status}";
  for await (const ad of rows<Ad>(`${account}/ads?fields=${fields}&effective_status=${statuses}`)) {
    // parents before their children
    if (!seen.has(ad.campaign.id)) yield object("CAMPAIGN", ad.campaign, null);
    if (!seen.has(ad.adset.id)) yield object("AD_SET", ad.adset, ad.campaign.id);
    yield object("AD", ad, ad.adset.id);
    seen.add(ad.campaign.id).add(ad.adset.id);
  }

  const range = encodeURIComponent(JSON.stringify({ since, until }));
  for await (const row of rows<Insight>(`${account}/insights?level=ad&time_increment=1&time_range=${range}&fields=ad_id,spend,impressions,clicks,actions`))
    yield {
      platform: "META", accountExternalId: account, externalId: row.ad_id, collectedAt, currency, ...dayIn(zone, row.date_start),
      amountCents: minorUnits(row.spend, currency), impressions: row.impressions, clicks: row.clicks, metrics: row,
    };
}

const [account = "", since = "", until = ""] = process.argv.slice(2);
const summary = await send(records(account, process.env["CONNECTION_ID"] ?? "", since, until), { client: "meta-sync", logger: console });
console.log(JSON.stringify(summary));
