/**
 * Encrypts and decrypts the OAuth credentials of `platform_connections`, in the form that `boris-ingestd connection` reads and writes: a
 * flattened JWE (RFC 7516) with `dir` and `A256GCM`, the key's `kid`, and the connection's id as additional authenticated data. Needs the
 * package `jose`.
 *
 * @packageDocumentation
 */

/** A symmetric JSON Web Key of 256 bits. */
export interface Key {
  /** The type of key: symmetric. */
  kty: "oct";
  /** The 32 bytes, in base64url. */
  k: string;
  /** The name that encrypted credentials refer to. */
  kid: string;
}

/** A flattened JWE, as stored in the column `credentials`. */
export interface EncryptedCredentials {
  /** The header `{"alg":"dir","enc":"A256GCM","kid":"..."}`, in base64url like the other members. */
  protected: string;
  /** 96 random bits. */
  iv: string;
  /** The encrypted JSON. */
  ciphertext: string;
  /** The authentication tag. */
  tag: string;
  /** The id of the row in platform_connections. */
  aad: string;
}

function keyBytes(key: Key): Uint8Array {
  const bytes = Buffer.from(key.k, "base64url");
  if (key.kty !== "oct" || bytes.length !== 32) throw new TypeError(`key ${key.kid} must be a symmetric key ("oct") of 256 bits`);
  return new Uint8Array(bytes);
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function aadOf(connectionId: string): Uint8Array {
  if (!UUID.test(connectionId)) throw new TypeError("the connection's id must be a uuid in lower case");
  return new TextEncoder().encode(connectionId);
}

/** Encrypts credentials for the row of one connection; they cannot be decrypted in another row. */
export async function encryptCredentials(credentials: object, connectionId: string, key: Key): Promise<EncryptedCredentials> {
  const { FlattenedEncrypt } = await import("jose");
  const jwe = await new FlattenedEncrypt(new TextEncoder().encode(JSON.stringify(credentials)))
    .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: key.kid })
    .setAdditionalAuthenticatedData(aadOf(connectionId))
    .encrypt(keyBytes(key));
  const { iv, ciphertext, tag, aad } = jwe;
  if (jwe.protected === undefined || iv === undefined || tag === undefined || aad === undefined) throw new Error("the JWE is incomplete");
  return { protected: jwe.protected, iv, ciphertext, tag, aad };
}

/** Whether credentials are encrypted, or plain JSON. */
export function isEncrypted(credentials: unknown): credentials is EncryptedCredentials {
  if (typeof credentials !== "object" || credentials === null) return false;
  const fields = credentials as Partial<Record<keyof EncryptedCredentials, unknown>>;
  return typeof fields.protected === "string" && typeof fields.ciphertext === "string" && typeof fields.tag === "string";
}

/** Decrypts the credentials of one connection's row with the key that their `kid` names. */
export async function decryptCredentials(encrypted: EncryptedCredentials, connectionId: string, keys: readonly Key[]): Promise<unknown> {
  const { flattenedDecrypt } = await import("jose");
  if (Buffer.from(encrypted.aad ?? "", "base64url").toString() !== connectionId)
    throw new Error("these credentials belong to another connection");
  const { plaintext } = await flattenedDecrypt({ ...encrypted }, (header) => {
    const key = keys.find(({ kid }) => kid === header?.kid);
    if (!key) throw new Error(`no key ${String(header?.kid)}`);
    return keyBytes(key);
  }, { keyManagementAlgorithms: ["dir"], contentEncryptionAlgorithms: ["A256GCM"] });
  return JSON.parse(new TextDecoder().decode(plaintext));
}
