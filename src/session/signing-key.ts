import { createPrivateKey, createPublicKey, generateKeyPair, type JsonWebKey, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { defineEntity, p } from '@mikro-orm/postgresql';
import type { JWK } from 'jose';
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { ImportedKey } from './imported-key.ts';
import type { JwtVerifier, SigningAlgorithm } from './jwt.ts';

export type SigningKeyState = 'standby' | 'active' | 'retired' | 'revoked';

const SigningKeyTable = defineEntity({
  name: 'SigningKey',
  tableName: 'signing_keys',
  properties: {
    id: p.string().length(43).primary(),
    state: p.string().length(8).$type<SigningKeyState>(),
    algorithm: p.string().length(16).$type<SigningAlgorithm>(),
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
 * A key that signs access tokens. Its id, the `kid` of the tokens, is the RFC 7638 thumbprint of its public key, or the one that
 * an imported key had.
 *
 * standby: published, so that verifiers know it before its first use. active: signs. retired: signs no longer, its
 * tokens still verify. revoked: its tokens are rejected.
 */
export class SigningKey extends SigningKeyTable.class {
  static async create(keys: MasterKeys, state: SigningKeyState, now: Date): Promise<SigningKey> {
    const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
    return SigningKey.#of(keys, { id: undefined, algorithm: 'ES256', privateKey }, state, now);
  }

  /** A standby key that another system has created. It keeps its id, which the JWKS of that system has published. */
  static async import(keys: MasterKeys, imported: ImportedKey, now: Date): Promise<SigningKey> {
    return SigningKey.#of(keys, imported, 'standby', now);
  }

  static async #of(
    keys: MasterKeys,
    { id: given, algorithm, privateKey }: ImportedKey,
    state: SigningKeyState,
    now: Date,
  ): Promise<SigningKey> {
    const publicJwk = createPublicKey(privateKey).export({ format: 'jwk' }) as JWK;
    const id = given ?? (await calculateJwkThumbprint(publicJwk));
    const secret = privateKey.export({ format: 'der', type: 'pkcs8' });
    return Object.assign(new SigningKey(), {
      id,
      state,
      algorithm,
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

  verifier(): JwtVerifier {
    const { algorithm, publicJwk } = this;
    return { algorithm, publicKey: createPublicKey({ key: publicJwk as JsonWebKey, format: 'jwk' }) };
  }

  privateKey(keys: MasterKeys): KeyObject {
    const secret = keys.open('signing key', this.id, Buffer.from(this.privateSealed));
    return createPrivateKey({ key: secret, format: 'der', type: 'pkcs8' });
  }

  /** The entry of the JWKS (RFC 7517). */
  toJwk(): JWK {
    const { kty, crv, x, y, n, e } = this.publicJwk;
    const key = kty === 'RSA' ? { kty, n, e } : { kty, crv, x, y };
    return { ...key, kid: this.id, use: 'sig', alg: this.algorithm } as JWK;
  }
}
SigningKeyTable.setClass(SigningKey);

/** SQL: the ids and states of all keys as one text. */
export const signingKeyStates = `coalesce((select string_agg(k.id || ' ' || k.state, ', ' order by k.id) from signing_keys k), '')`;
