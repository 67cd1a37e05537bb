// Makes tokens.json: signed tokens by an implementation that is not ours. Run: node make.mjs > tokens.json
import { createSign, generateKeyPairSync, sign, createHmac, constants } from "node:crypto";

const b64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const small = generateKeyPairSync("rsa", { modulusLength: 1024 });
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
const p521 = generateKeyPairSync("ec", { namedCurve: "P-521" });
const ed = generateKeyPairSync("ed25519");

const signers = {
  RS256: (k, m) => sign("sha256", m, k),
  RS384: (k, m) => sign("sha384", m, k),
  RS512: (k, m) => sign("sha512", m, k),
  PS256: (k, m) => sign("sha256", m, { key: k, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  PS512: (k, m) => sign("sha512", m, { key: k, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }),
  ES256: (k, m) => sign("sha256", m, { key: k, dsaEncoding: "ieee-p1363" }),
  "ES256-DER": (k, m) => sign("sha256", m, k),
  ES384: (k, m) => sign("sha384", m, { key: k, dsaEncoding: "ieee-p1363" }),
  ES512: (k, m) => sign("sha512", m, { key: k, dsaEncoding: "ieee-p1363" }),
  EdDSA: (k, m) => sign(null, m, k),
};
const token = (header, key, how = header.alg) => {
  const message = `${b64(header)}.${b64({ sub: "alice" })}`;
  return `${message}.${signers[how](key.privateKey, Buffer.from(message)).toString("base64url")}`;
};
const jwk = (key, more = {}) => ({ ...key.publicKey.export({ format: "jwk" }), ...more });
const set = (...keys) => ({ keys });
const out = [];
const add = (name, jwks, token, expect) => out.push({ name, expect, token, jwks });

for (const [alg, key] of [["RS256", rsa], ["RS384", rsa], ["RS512", rsa], ["PS256", rsa], ["ES256", p256], ["ES384", p384], ["EdDSA", ed]]) {
  add(`${alg}, named key`, set(jwk(key, { kid: "k", use: "sig" })), token({ alg, kid: "k" }, key), "alice");
  add(`${alg}, key says which algorithm`, set(jwk(key, { kid: "k", alg })), token({ alg, kid: "k", typ: "JWT" }, key), "alice");
}
add("no key id, one key", set(jwk(rsa)), token({ alg: "RS256" }, rsa), "alice");
add("no key id, one key of each family", set(jwk(rsa), jwk(p256)), token({ alg: "ES256" }, p256), "alice");
add("no key id, two fitting keys", set(jwk(rsa, { kid: "1" }), jwk(rsa, { kid: "2" })), token({ alg: "RS256" }, rsa), "UnknownKey");
add("rotated away", set(jwk(rsa, { kid: "new" })), token({ alg: "RS256", kid: "old" }, rsa), "UnknownKey");
add("key meant for encryption", set(jwk(rsa, { kid: "k", use: "enc" })), token({ alg: "RS256", kid: "k" }, rsa), "UnknownKey");
add("key may not verify", set(jwk(rsa, { kid: "k", key_ops: ["encrypt"] })), token({ alg: "RS256", kid: "k" }, rsa), "UnknownKey");
add("another algorithm than the key states", set(jwk(rsa, { kid: "k", alg: "RS512" })), token({ alg: "RS256", kid: "k" }, rsa), "AlgorithmRefused");
add("1024 bits", set(jwk(small, { kid: "k" })), token({ alg: "RS256", kid: "k" }, small), "UnknownKey");
add("P-521 is passed over", set(jwk(p521, { kid: "k" }), jwk(rsa, { kid: "r" })), token({ alg: "RS256", kid: "r" }, rsa), "alice");
add("P-521 itself", set(jwk(p521, { kid: "k" })), token({ alg: "ES512", kid: "k" }, p521), "Malformed");
add("PS512 is not offered", set(jwk(rsa, { kid: "k" })), token({ alg: "PS512", kid: "k" }, rsa), "AlgorithmRefused");
add("signature in DER", set(jwk(p256, { kid: "k" })), token({ alg: "ES256", kid: "k" }, p256, "ES256-DER"), "BadSignature");
add("RS256 signature under PS256", set(jwk(rsa, { kid: "k" })), token({ alg: "PS256", kid: "k" }, rsa, "RS256"), "BadSignature");
{
  // The classic: the public key used as an HMAC secret.
  const header = b64({ alg: "HS256", kid: "k" });
  const message = `${header}.${b64({ sub: "alice" })}`;
  const pem = rsa.publicKey.export({ type: "spki", format: "pem" });
  const mac = createHmac("sha256", pem).update(message).digest("base64url");
  add("public key as HMAC secret", set(jwk(rsa, { kid: "k" })), `${message}.${mac}`, "AlgorithmRefused");
  add("symmetric key published", set({ kty: "oct", kid: "k", k: "c2VjcmV0" }), `${message}.${mac}`, "UnknownKey");
  add("alg none", set(jwk(rsa)), `${b64({ alg: "none" })}.${b64({ sub: "alice" })}.`, "Malformed");
}
add("garbage among the keys", { keys: [1, {}, { kty: "RSA" }, { kty: "new", kid: "x" }, jwk(ed, { kid: "k" })] }, token({ alg: "EdDSA", kid: "k" }, ed), "alice");
console.log(JSON.stringify(out, null, 1));
