// A certified OpenID Connect provider (npm `oidc-provider`) on a free port of this machine, for tests.
//
// Prints {"issuer": …} when it is ready. Any user name logs in, with any password; `name` and `groups` come from it:
// the groups of `alice+dba+dev` are `dba` and `dev`.
//
// For the tests only: POST /test/rotate replaces the signing keys, GET /test/requests counts requests by path.

import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { exportJWK } from 'jose';
import { Provider } from 'oidc-provider';

const CLIENT = 'gov-cli';
const RESOURCE = 'https://gov.example.com';
// Which algorithm signs ID tokens; access tokens for the resource are always ES256.
const ID_TOKEN_ALG = process.env.ID_TOKEN_ALG ?? 'RS256';

let generation = 0;
async function keys() {
  generation += 1;
  const pairs = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  };
  return Promise.all(Object.entries(pairs).map(async ([alg, pair]) => ({
    ...(await exportJWK(pair.privateKey)), alg, use: 'sig', kid: `${alg}-${generation}`,
  })));
}

// What the provider remembers, outside of it: new keys come with a new provider, logins must not end with the old one.
const memory = new Map();
class Adapter {
  constructor(model) { this.model = model; }
  key(id) { return `${this.model}:${id}`; }
  async upsert(id, payload) {
    memory.set(this.key(id), payload);
  }
  async find(id) { return memory.get(this.key(id)); }
  async findBy(name, value) {
    return [...memory].find(([key, payload]) => key.startsWith(`${this.model}:`) && payload[name] === value)?.[1];
  }
  async findByUserCode(code) { return this.findBy('userCode', code); }
  async findByUid(uid) { return this.findBy('uid', uid); }
  async consume(id) { memory.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { memory.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, payload] of memory) if (payload.grantId === grantId) memory.delete(key);
  }
}

async function provider(issuer) {
  const provider = new Provider(issuer, {
    adapter: Adapter,
    clients: [{
      client_id: CLIENT,
      application_type: 'native',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'none',
      id_token_signed_response_alg: ID_TOKEN_ALG,
    }],
    jwks: { keys: await keys() },
    scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
    claims: { openid: ['sub', 'groups'], profile: ['name'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => {
          if (resource !== RESOURCE) throw new Error('unknown resource');
          return { audience: RESOURCE, scope: '', accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'ES256' } } };
        },
        useGrantedResource: () => true,
      },
    },
    extraTokenClaims: async (ctx, token) => (token.accountId ? claims(token.accountId) : undefined),
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    findAccount: (ctx, id) => ({ accountId: id, claims: async () => claims(id) }),
    cookies: { keys: ['a test needs no secret'] },
    ttl: { DeviceCode: 120, IdToken: 300, AccessToken: 300, Grant: 3600, RefreshToken: 3600, Session: 3600, Interaction: 600 },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  return provider;
}

function claims(id) {
  const [name, ...groups] = id.split('+');
  return { sub: id, name: `${name} of the provider`, email: `${name}@example.com`, email_verified: true, groups };
}

const requests = {};
let current;
const server = createServer(async (request, response) => {
  const path = request.url.split('?')[0];
  requests[path] = (requests[path] ?? 0) + 1;
  if (path === '/test/rotate') {
    current = (await provider(issuer)).callback();
    response.end('{}');
  } else if (path === '/test/requests') {
    response.end(JSON.stringify(requests));
  } else {
    current(request, response);
  }
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
current = (await provider(issuer)).callback();
console.log(JSON.stringify({ issuer }));
