import type { HandlerContext } from '@connectrpc/connect';
import { readAccountSummary } from '../account/usage/account-summary.ts';
import { isKeyUsable } from '../api-key/api-key.ts';
import { createKey } from '../api-key/create-key.ts';
import { composeKey, hashKey } from '../api-key/key-text.ts';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { autocommit, origin } from '../rpc/context.ts';
import { userToMessage } from '../user/message.ts';
import { type ShownUser, shownUserColumns } from '../user/shown-user.ts';
import { deriveSecret, type Possession } from './codes.ts';
import type { DeviceDeps } from './deps.ts';
import { type DeviceKind, deviceNames } from './device-names.ts';
import { notifyOfDevice } from './new-device-mail.ts';
import type { Credential } from './redemption.ts';

const secretLength = 32;

// Used means that a job has stamped the key: see KeyUses.
const findUnused = statement<Omit<ShownUser, 'id'>, { userId: string; id: string; hash: Buffer; now: Date }>(
  'api_key_minted',
  `select ${shownUserColumns} from api_keys k join users u on u.id = :userId
   where k.user_id = :userId and k.id = :id and k.hash = :hash and k.last_used_at is null and ${isKeyUsable('k', 'u')}`,
);

/** The fields of a response that returns an API key. */
export interface MintedKey {
  readonly apiKey: string;
  readonly user: ReturnType<typeof userToMessage>;
  readonly tier: string;
}

interface KeyOfDevice {
  readonly kind: DeviceKind;
  readonly possession: Possession;
  readonly clientName: string;
  readonly scopes: readonly string[];
}

/** An API key of its own for the device, which expires after the maximum lifetime of keys. */
export function keyCredential(
  deps: Pick<DeviceDeps, 'now' | 'keyRules' | 'outbox' | 'messages'>,
  context: HandlerContext,
  { kind, possession, clientName, scopes }: KeyOfDevice,
): Credential<MintedKey> {
  const { now, keyRules } = deps;
  const secretOf = (attemptId: string) => deriveSecret(possession, attemptId, 'api key', secretLength);
  return {
    kind: 'api_key',
    async mint(em, user, id, attempt) {
      const at = now();
      const { id: userId, projectId } = user;
      const { address, userAgent } = origin(context);
      const login = { loginKind: kind, clientName, address, userAgent };
      const draft = { id, projectId, userId, name: deviceNames[kind], scopes, secret: secretOf(attempt.id), login };
      const { text } = await createKey(em, keyRules, draft, at);
      audit(em, context, { action: 'api_key.create', entityId: id, userId }, at);
      await notifyOfDevice(em, context, deps, user, at);
      const tier = await readTier(em, projectId, userId);
      return { apiKey: text, user: userToMessage(user, at), tier };
    },
    async repeat({ id: attemptId, projectId, userId, mintedId }) {
      const at = now();
      const apiKey = composeKey(keyRules.environment, userId, secretOf(attemptId));
      const found = { userId, id: mintedId, hash: hashKey(apiKey), now: at };
      const [user] = await findUnused(autocommit(context), found);
      if (!user) return undefined;
      const tier = await readTier(autocommit(context), projectId, userId);
      return { apiKey, user: userToMessage({ ...user, id: userId }, at), tier };
    },
  };
}

/** The plan of the account that a user is in. Empty without an account. */
export async function readTier(
  on: Parameters<typeof readAccountSummary>[0],
  projectId: string,
  userId: string,
): Promise<string> {
  const { account } = await readAccountSummary(on, projectId, userId);
  return account?.plan ?? '';
}
