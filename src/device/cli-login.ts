import { durationFromMs, durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import { CliGuestState } from '../../gen/gatehouse/v1/cli_login_pb.ts';
import { Refusal } from '../errors.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { findByCode } from './attempt.ts';
import type { Attempt } from './attempt-table.ts';
import { isLiveGuest, readGuestToken, unclaimedGuestOf } from './cli-guest.ts';
import { isSecret, mintSecret } from './codes.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { stateAt } from './kinds.ts';
import { requesterToMessage, stateToMessage } from './message.ts';
import { sessionCredential } from './minted-session.ts';
import { possessionOf, redeem } from './redemption.ts';
import { startAttempt } from './start-attempt.ts';

type Methods = Pick<DeviceMethods, 'startCliLogin' | 'checkCliLogin' | 'pollCliLogin'>;

const loginCodePrefix = 'ghlc_';

/** The side of the program: it starts a login and polls; the page that it opens checks the code. */
export function cliLogin(deps: DeviceDeps): Methods {
  const { now, keys, projects } = deps;
  return {
    async startCliLogin({ lifetime, anonRefreshToken, clientName }, context) {
      const at = now();
      const guest = anonRefreshToken ? await readGuestToken(context, keys, anonRefreshToken, at) : undefined;
      const draft = {
        kind: 'cli',
        clientName,
        mintCode: () => mintSecret(loginCodePrefix),
        lifetime: lifetime && durationMs(lifetime) / 1000,
        about: guest ? { guest } : {},
      } as const;
      const started = await change(context, (em) => startAttempt(em, keys, context, draft, at));
      const { attempt, code, pollingSecret } = started;
      const { frontendUrl } = projects.of(projectOf(context)).settings;
      return {
        pollingCode: pollingSecret,
        loginCode: code,
        loginUrl: `${frontendUrl}/cli?login_code=${code}`,
        expireTime: timestampFromDate(attempt.expiresAt),
        interval: durationFromMs(attempt.pollInterval * 1000),
        comparisonNumber: attempt.comparison,
      };
    },

    async checkCliLogin({ loginCode }, context) {
      const at = now();
      const attempt = await findOpenCliLogin(deps, context, loginCode, at);
      const guest = unclaimedGuestOf(attempt);
      const isClaimable = guest !== undefined && (await isLiveGuest(autocommit(context), guest, at));
      const guestState = isClaimable ? CliGuestState.ANONYMOUS : CliGuestState.NONE;
      return { guestState, requester: requesterToMessage(attempt) };
    },

    async pollCliLogin({ pollingCode, clientNonce }, context) {
      const at = now();
      const polled = await deps.polls.poll(context, 'cli', pollingCode, at);
      if (!polled) throw new Refusal('INVALID_POLLING_CODE');
      const { attempt } = polled;
      if (!attempt) return { state: stateToMessage(polled.state) };
      const possession = possessionOf(pollingCode, clientNonce);
      const credential = sessionCredential(deps, context, possession, 'cli');
      const { state, response } = await redeem(context, { attempt, possession }, credential, at);
      return { state: stateToMessage(state), ...response };
    },
  };
}

/**
 * The login with this code that waits for a decision. Throws INVALID_LOGIN_CODE for a code that is unknown, decided, used or
 * expired, or of another project.
 */
export async function findOpenCliLogin(
  { keys }: Pick<DeviceDeps, 'keys'>,
  context: HandlerContext,
  code: string,
  now: Date,
): Promise<Attempt> {
  const named = { projectId: projectOf(context), kind: 'cli', code } as const;
  const attempt = isSecret(loginCodePrefix, code) && (await findByCode(autocommit(context), keys, named, now));
  if (!attempt || !['pending', 'claimed'].includes(stateAt(attempt, now))) throw new Refusal('INVALID_LOGIN_CODE');
  return attempt;
}
