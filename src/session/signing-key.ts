import { createPrivateKey, createPublicKey, generateKeyPair, type JsonWebKey, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { defineEntity, p } from '@mikro-orm/postgresql';
import type { JWK } from 'jose';
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint';
import type { MasterKeys } from '../crypto/master-keys.ts';

export type SigningKeyState = 'standby' | 'active' | 'retired' | 'revoked';

const SigningKeyTable = defineEntity({
  name: 'SigningKey',
  tableName: 'signing_keys',
  properties: {
    id: p.string().length(43).primary(),
    state: p.string().length(8).$type<SigningKeyState>(),
    algorithm: p.string().length(16),
    publicJwk: p.json<JWK>(),
    privateSealed: p.blob().hidden(),
    createdAt: p.datetime(3),
    stateChangedAt: p.datetime(3),
  },
  // The partial index enforces the rule: there is never a second active key, nor a second standby key.
  indexes: [
    {
      name: 'signing_keys_active',
      properties: ['state'],
      expression: `create unique index "signing_keys_active" on "signing_keys" ("state") where "state" in ('active', 'standby')`,
    },
  ],
});

/**
 * A key that signs access tokens. Its id, the `kid` of the tokens, is the RFC 7638 thumbprint of its public key.
 *
 * standby: published, so that verifiers know it before its first use. active: signs. retired: signs no longer, its
 * tokens still verify. revoked: its tokens are rejected.
 */
export class SigningKey extends SigningKeyTable.class {
  static async create(keys: MasterKeys, state: SigningKeyState, now: Date): Promise<SigningKey> {
    const pair = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
    const publicJwk = pair.publicKey.export({ format: 'jwk' }) as JWK;
    const id = await calculateJwkThumbprint(publicJwk);
    const secret = pair.privateKey.export({ format: 'der', type: 'pkcs8' });
    return Object.assign(new SigningKey(), {
      id,
      state,
      algorithm: 'ES256',
      publicJwk,
      privateSealed: keys.seal('signing key', id, secret),
      createdAt: now,
      stateChangedAt: now,
    });
  }

  become(state: SigningKeyState, now: Date): void {
    this.state = state;
    this.stateChangedAt = now;
  }

  publicKey(): KeyObject {
    return createPublicKey({ key: this.publicJwk as JsonWebKey, format: 'jwk' });
  }

  privateKey(keys: MasterKeys): KeyObject {
    const secret = keys.open('signing key', this.id, Buffer.from(this.privateSealed));
    return createPrivateKey({ key: secret, format: 'der', type: 'pkcs8' });
  }

  /** The entry of the JWKS (RFC 7517). */
  toJwk(): JWK {
    const { kty, crv, x, y } = this.publicJwk;
    return { kty, crv, x, y, kid: this.id, use: 'sig', alg: this.algorithm } as JWK;
  }
}
SigningKeyTable.setClass(SigningKey);

/** SQL: the ids and states of all keys as one text. */
export const signingKeyStates = `coalesce((select string_agg(k.id || ' ' || k.state, ', ' order by k.id) from signing_keys k), '')`;
