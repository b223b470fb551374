// A sync job for the Google Ads API (REST): npx tsx google-ads.ts CUSTOMER SINCE UNTIL (from Node 22.18 on also without npx tsx: node
// google-ads.ts). $GOOGLE_ADS_TOKEN is the access token,
// $GOOGLE_ADS_DEVELOPER_TOKEN the developer's, $GOOGLE_ADS_LOGIN_CUSTOMER the manager account, if access goes through one. $CONNECTION_ID is the
// id of the row in platform_connections, $BORIS_INGESTD_URL the daemon, if it does not listen on the default socket.
import { send, type AdObjectRecord, type IngestRecord } from "boris-ingestd-client";
import { dayIn, fromMicros } from "boris-ingestd-client/convert";

const API = process.env["GOOGLE_ADS_API"] ?? "https://googleads.googleapis.com/v26";

const MANAGER = process.env["GOOGLE_ADS_LOGIN_CUSTOMER"];

interface Named { id: string; name?: string; status: string }
interface Row {
  customer: { descriptiveName?: string; currencyCode: string; timeZone: string };
  campaign: Named;
  adGroup: Named;
  adGroupAd: { status: string; ad: { id: string; name?: string } };
  metrics: { costMicros?: string; impressions?: string; clicks?: string; conversions?: number };
  segments: { date: string };
}

/** The rows of all pages. */
async function* search<T extends Partial<Row>>(customer: string, query: string): AsyncGenerator<T> {
  let pageToken: string | undefined;
  do {
    const response = await fetch(`${API}/customers/${customer}/googleAds:search`, {
      method: "POST",
      headers: {
        "content-type": "application/json", authorization: `Bearer ${process.env["GOOGLE_ADS_TOKEN"] ?? ""}`,
        "developer-token": process.env["GOOGLE_ADS_DEVELOPER_TOKEN"] ?? "", ...(MANAGER && { "login-customer-id": MANAGER }),
      },
      body: JSON.stringify({ query, pageToken }),
    });
    if (!response.ok) throw new Error(`Google Ads answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
    const page = await response.json() as { results?: T[]; nextPageToken?: string };
    yield* page.results ?? [];
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
}

const STATUS: Readonly<Record<string, AdObjectRecord["status"]>> = { ENABLED: "ACTIVE", REMOVED: "DELETED" };

async function* records(customer: string, connectionId: string, since: string, until: string): AsyncGenerator<IngestRecord> {
  const collectedAt = new Date(); // one moment for the whole collection
  let account: Row["customer"] | undefined;
  for await (const row of search<Pick<Row, "customer">>(customer, "SELECT customer.descriptive_name, customer.currency_code, customer.time_zone FROM customer"))
    account = row.customer;
  if (!account) throw new Error(`there is no customer ${customer}`);
  const { currencyCode: currency, timeZone: zone } = account;
  yield { kind: "adAccount", connectionId, externalId: customer, name: account.descriptiveName ?? null, currency, timezone: zone };

  const seen = new Set<string>();
  const object = (type: AdObjectRecord["type"], { id, name, status }: Named, parentExternalId: string | null): AdObjectRecord => ({
    kind: "adObject", platform: "GOOGLE_ADS", accountExternalId: customer, externalId: id, type, name: name ?? null,
    status: STATUS[status] ?? "PAUSED", parentExternalId,
  });
  const ads = "SELECT campaign.id, campaign.name, campaign.status, ad_group.id, ad_group.name, ad_group.status, ad_group_ad.ad.id, " +
    "ad_group_ad.ad.name, ad_group_ad.status FROM ad_group_ad";
  for await (const row of search<Pick<Row, "campaign" | "adGroup" | "adGroupAd">>(customer, ads)) {
    // parents before their children
    if (!seen.has(row.campaign.id)) yield object("CAMPAIGN", row.campaign, null);
    if (!seen.has(row.adGroup.id)) yield object("AD_SET", row.adGroup, row.campaign.id);
    yield object("AD", { ...row.adGroupAd.ad, status: row.adGroupAd.status }, row.adGroup.id);
    seen.add(row.campaign.id).add(row.adGroup.id);
  }

  const spending = "SELECT ad_group_ad.ad.id, segments.date, metrics.cost_micros, metrics.impressions, metrics.clicks, metrics.conversions " +
    `FROM ad_group_ad WHERE segments.date BETWEEN '${since}' AND '${until}'`;
  for await (const { adGroupAd, segments, metrics } of search<Pick<Row, "adGroupAd" | "segments" | "metrics">>(customer, spending))
    yield {
      platform: "GOOGLE_ADS", accountExternalId: customer, externalId: adGroupAd.ad.id, collectedAt, currency, ...dayIn(zone, segments.date),
      amountCents: fromMicros(metrics.costMicros ?? 0, currency), impressions: metrics.impressions ?? 0, clicks: metrics.clicks ?? 0,
      // Google reports parts of conversions, the column holds whole ones: metrics has what was reported
      conversions: Number.isInteger(metrics.conversions) ? metrics.conversions : null, metrics,
    };
}

const [customer = "", since = "", until = ""] = process.argv.slice(2);
const summary = await send(records(customer, process.env["CONNECTION_ID"] ?? "", since, until), { client: "google-ads-sync", logger: console });
console.log(JSON.stringify(summary));
