import type { JsonObject } from '@bufbuild/protobuf';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { Coalescer, unlessInConflict } from '../database/coalesce.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { UserCaller } from '../rpc/context.ts';
import { currentMembership, type RoleName } from '../user/current-account.ts';
import { isKeyUsable } from './api-key.ts';
import { type KeyEnvironment, type KeyName, readKey } from './key-text.ts';
import type { KeyUses } from './key-uses.ts';

/** An API key and its user as one row. */
export interface KeyState {
  readonly id: string;
  readonly project_id: string;
  readonly user_id: string;
  readonly hash: Buffer;
  readonly scopes: readonly string[];
  readonly created_at: Date;
  readonly expires_at: Date;
  readonly last_used_at: Date | null;
  readonly is_usable: boolean;
  readonly email: string | null;
  readonly email_verified: boolean;
  readonly is_anonymous: boolean;
  readonly must_change_password: boolean;
  readonly system_role: string;
  /** Null for users in no account. */
  readonly account_id: string | null;
  readonly account_role: RoleName | null;
  readonly app_metadata: JsonObject;
  readonly user_metadata: JsonObject;
}

interface Lookup {
  readonly userIds: readonly string[];
  readonly hashes: readonly Buffer[];
  readonly now: Date;
}

// Hot: one prepared look-up for every call and every introspection with an API key.
const readStates = statement<KeyState, Lookup>(
  'api_key_states',
  `select k.id, k.project_id, k.user_id, k.hash, k.scopes, k.created_at, k.expires_at, k.last_used_at,
     ${isKeyUsable('k', 'u')} as is_usable, u.email, u.email_verified_at is not null as email_verified, u.is_anonymous,
     u.must_change_password, u.system_role, m.account_id, m.role as account_role, u.app_metadata, u.user_metadata
   from unnest((select :userIds::uuid[]), (select :hashes::bytea[])) as named (user_id, hash)
     join users u on u.id = named.user_id
     join api_keys k on k.project_id = u.project_id and k.user_id = named.user_id and k.hash = named.hash
     left join ${currentMembership('m', 'u')}`,
  { isSharedRead: true },
);

interface KeyLookupDeps {
  /** For statements that serve several calls at once. */
  readonly shared: Autocommit;
  readonly now: Clock;
  readonly environment: KeyEnvironment;
  readonly uses: KeyUses;
}

/**
 * Reads the current state of presented API keys. An unknown, a revoked and an expired key, and that of a banned user, cost
 * the same statement and have the same outcome.
 */
export class KeyLookup {
  readonly #deps: KeyLookupDeps;
  readonly #coalescer: Coalescer<KeyName, KeyState | undefined>;

  constructor(deps: KeyLookupDeps) {
    this.#deps = deps;
    this.#coalescer = new Coalescer(async (all) => {
      const rows = await unlessInConflict(() => this.#read(deps.shared, all));
      if (!rows) return new Map();
      const states = new Map(rows.map((row) => [keyOf(row.user_id, row.hash), row]));
      return new Map(all.map((each) => [each, states.get(keyOf(each.userId, each.hash))]));
    });
  }

  /** The state of a key that can be used. Undefined for any other text. */
  async find(autocommit: Autocommit, text: string): Promise<KeyState | undefined> {
    const { environment, uses, now } = this.#deps;
    const named = readKey(environment, text);
    if (!named) return undefined;
    const state = await this.#coalescer.take(named, async () => (await this.#read(autocommit, [named]))[0]);
    if (!state?.is_usable) return undefined;
    uses.note({ id: state.id, userId: state.user_id, lastUsedAt: state.last_used_at }, now());
    return state;
  }

  /** The caller that a key identifies. Throws API_KEY_INVALID. */
  async callerOf(autocommit: Autocommit, text: string): Promise<UserCaller> {
    const state = await this.find(autocommit, text);
    if (!state) throw new Refusal('API_KEY_INVALID');
    return {
      kind: 'user',
      projectId: state.project_id,
      userId: state.user_id,
      sessionId: state.id,
      apiKey: { scopes: state.scopes },
      tokenEpoch: 0,
      isGuest: state.is_anonymous,
      mustChangePassword: state.must_change_password,
      // The key of an operator is that of a user: no method for operators admits keys.
      isOperator: false,
      hasFactor: false,
      impersonatorId: undefined,
      aal: 1,
      authenticatedAt: state.created_at,
      sessionKind: undefined,
      userSince: 0,
      isOnTrustedDevice: false,
      hasRestrictedToken: false,
    };
  }

  #read(autocommit: Autocommit, all: readonly KeyName[]): Promise<KeyState[]> {
    // A program makes many calls with one key: it is read once.
    const named = [...new Map(all.map((each) => [keyOf(each.userId, each.hash), each])).values()];
    const userIds = named.map(({ userId }) => userId);
    return readStates(autocommit, { userIds, hashes: named.map(({ hash }) => hash), now: this.#deps.now() });
  }
}

function keyOf(userId: string, hash: Buffer): string {
  return `${userId} ${hash.toString('hex')}`;
}
