// Encrypts and decrypts credentials; what was swapped or altered is refused.
import assert from "node:assert/strict";
import { decryptCredentials, encryptCredentials, isEncrypted } from "boris-ingestd-client/credentials";

const key = { kty: "oct", kid: "2026", k: Buffer.alloc(32, 7).toString("base64url") };
const other = { ...key, kid: "2025", k: Buffer.alloc(32, 8).toString("base64url") };
const id = "552dd041-9bdd-5ed5-998c-3a678ba7bf0c", secret = { accessToken: "ä", nested: [1] };
const jwe = await encryptCredentials(secret, id, key);
assert.ok(isEncrypted(jwe) && !isEncrypted(secret) && !isEncrypted(null) && !isEncrypted("x"));
assert.deepEqual(await decryptCredentials(jwe, id, [other, key]), secret);
await assert.rejects(decryptCredentials(jwe, "01dee204-efdd-5702-9841-b5bbbec74be5", [key]));
await assert.rejects(decryptCredentials(jwe, id, [other]));
await assert.rejects(decryptCredentials({ ...jwe, aad: Buffer.from("01dee204-efdd-5702-9841-b5bbbec74be5").toString("base64url") },
  "01dee204-efdd-5702-9841-b5bbbec74be5", [key]));
for (const part of ["ciphertext", "tag", "iv", "protected"])
  await assert.rejects(decryptCredentials({ ...jwe, [part]: `${jwe[part][0] === "A" ? "B" : "A"}${jwe[part].slice(1)}` }, id, [key]), part);
assert.ok(!JSON.stringify(jwe).includes("accessToken"));
console.log("good");
