// Properties of the conversions, over random values from the seed in the first argument.
import assert from "node:assert/strict";
import { currencyExponent, dayIn, fromMicros, minorUnits, tiktokTime } from "boris-ingestd-client/convert";

let state = Number(process.argv[2]) >>> 0;
const random = (n) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor(state / 2 ** 32 * n);
};

// ISO 4217
const CODES = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
  2: `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK
    DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
    SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG`,
  3: "BHD IQD JOD KWD LYD OMR TND",
  4: "CLF UYW",
};
const currencies = Object.entries(CODES).flatMap(([exponent, codes]) => codes.split(/\s+/).map((code) => [code, Number(exponent)]));
for (const [code, exponent] of currencies) assert.equal(currencyExponent(code), exponent, code);
for (const code of ["XAU", "XAG", "XDR", "XXX", "XTS", "usd", "US", ""]) assert.throws(() => currencyExponent(code), code);

for (let n = 0; n < 20000; n++) {
  const [currency, exponent] = currencies[random(currencies.length)];
  const whole = String(random(10 ** random(9))), fraction = String(random(10 ** exponent || 1)).padStart(exponent, "0");
  const text = exponent ? `${whole}.${fraction}` : whole;
  assert.equal(minorUnits(text, currency), BigInt(whole + (exponent ? fraction : "")), text);
  assert.equal(minorUnits(`-${text}`, currency), -minorUnits(text, currency));
  assert.equal(minorUnits(`${text}${exponent ? "" : "."}000`, currency), minorUnits(text, currency), "zeros after it change nothing");
  const cents = BigInt(random(1e9));
  assert.equal(fromMicros(cents * 10n ** BigInt(6 - exponent), currency), cents);
}
assert.throws(() => minorUnits("1.005", "USD"), RangeError);
assert.equal(minorUnits("1.005", "USD", "half-even"), 100n);
assert.equal(minorUnits("-1.015", "USD", "half-even"), -102n);
assert.equal(fromMicros(5000, "USD"), 0n);
assert.equal(fromMicros(15000n, "USD"), 2n);
for (const bad of ["", "1e3", "1,5", "0x1", "NaN"]) assert.throws(() => minorUnits(bad, "USD"));

const zones = ["UTC", "America/Los_Angeles", "Europe/Prague", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca"];
for (const zone of zones) {
  const local = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
  for (let n = 0; n < 300; n++) {
    const text = new Date(Date.UTC(2018, 0, 1) + random(9 * 365 * 24 * 3600) * 1000).toISOString().slice(0, 19).replace("T", " ");
    const moment = tiktokTime(zone, text), back = local.format(new Date(moment));
    assert.match(moment, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$/);
    // a local time that a clock change skips is the first that exists after it
    if (back !== text) assert.ok(back > text && local.format(Date.parse(moment) - 1000) < text, `${zone} ${text}: ${moment}`);
    else assert.ok(moment.startsWith(text.replace(" ", "T")), `${zone} ${text}: ${moment}`);
  }
  let end;
  for (let day = Date.UTC(2018, 0, 1); day < Date.UTC(2027, 0, 1); day += 86_400_000) {
    const date = new Date(day).toISOString().slice(0, 10), period = dayIn(zone, date);
    if (end) assert.equal(Date.parse(period.periodStart), end, `${zone} ${date}: days leave no gap`);
    end = Date.parse(period.periodEnd);
    const hours = (end - Date.parse(period.periodStart)) / 3_600_000;
    assert.ok(hours >= 23 && hours <= 25 || hours === 0, `${zone} ${date}: ${hours} hours`);
    assert.equal(local.format(Date.parse(period.periodStart)).slice(0, 10), date, `${zone} ${date}`);
  }
}
assert.deepEqual(dayIn("America/Los_Angeles", "2026-11-01"),
  { periodStart: "2026-11-01T00:00:00-07:00", periodEnd: "2026-11-02T00:00:00-08:00" });
assert.equal(tiktokTime("Europe/Prague", "2026-03-29 02:30:00"), "2026-03-29T03:00:00+02:00", "a skipped time");
assert.equal(tiktokTime("Europe/Prague", "2026-10-25 02:30:00"), "2026-10-25T02:30:00+02:00", "the first of two");
assert.throws(() => dayIn("UTC", "2026-02-30"));
console.log("good");
