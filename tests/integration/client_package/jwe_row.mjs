// One row's credentials, beside boris-ingestd connection: jwe_row.mjs encrypt|decrypt ID KEY, with the JSON on standard input.
import { readFileSync } from "node:fs";
import { decryptCredentials, encryptCredentials } from "boris-ingestd-client/credentials";
import { flattenedDecrypt } from "jose";

const [, , verb, id, keyText] = process.argv, key = JSON.parse(keyText), input = JSON.parse(readFileSync(0, "utf8"));
if (verb === "encrypt") {
  console.log(JSON.stringify(await encryptCredentials(input, id, key)));
} else {
  const { plaintext } = await flattenedDecrypt(input, new Uint8Array(Buffer.from(key.k, "base64url"))); // by jose alone, too
  const decrypted = await decryptCredentials(input, id, [key]);
  if (JSON.stringify(JSON.parse(new TextDecoder().decode(plaintext))) !== JSON.stringify(decrypted)) throw new Error("they differ");
  console.log(JSON.stringify(decrypted));
}
