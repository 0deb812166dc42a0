import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { DeviceCredential, type RequestDeviceCodeRequest } from '../../gen/gatehouse/v1/device_grant_pb.ts';
import { type FieldViolation, Refusal } from '../errors.ts';
import { change, projectOf } from '../rpc/context.ts';
import type { Attempt } from './attempt-table.ts';
import { mintCode, userCodes } from './codes.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { kinds } from './kinds.ts';
import { scopeFaults } from './scope-faults.ts';
import { startAttempt } from './start-attempt.ts';

/** What a device asks for. Kept in `about` of its attempt. */
export interface DeviceWish {
  readonly credential: 'api_key' | 'session';
  readonly scopes: readonly string[];
}

/** The wish of an attempt of kind `device`. */
export function wishOf({ about }: Pick<Attempt, 'about'>): DeviceWish {
  const { credential, scopes } = about as unknown as DeviceWish;
  return { credential, scopes };
}

export function requestDeviceCode(deps: DeviceDeps): DeviceMethods['requestDeviceCode'] {
  const { now, keys, projects } = deps;
  return async (request, context) => {
    const { credential, scopes } = admit(deps, request);
    const draft = {
      kind: 'device',
      clientName: request.clientName,
      mintCode: () => mintCode(userCodes),
      about: { credential, scopes },
    } as const;
    const started = await change(context, (em) => startAttempt(em, keys, context, draft, now()));
    const page = `${projects.of(projectOf(context)).settings.frontendUrl}/device`;
    return {
      deviceCode: started.pollingSecret,
      userCode: started.code,
      verificationUri: page,
      verificationUriComplete: `${page}?user_code=${started.code}`,
      expiresIn: durationFromMs(kinds.device.lifetime * 1000),
      interval: durationFromMs(kinds.device.pollInterval * 1000),
      comparisonNumber: started.attempt.comparison,
    };
  };
}

/** Throws INVALID_ARGUMENT. */
function admit({ keyScopes }: DeviceDeps, { credential, scopes }: RequestDeviceCodeRequest): DeviceWish {
  const isSession = credential === DeviceCredential.SESSION;
  const forKey: FieldViolation = { field: 'scopes', description: 'are those of an API key, not of a session' };
  const fields = isSession && scopes.length > 0 ? [forKey] : scopeFaults(keyScopes, scopes);
  if (fields.length > 0) throw new Refusal('INVALID_ARGUMENT', { fields });
  return { credential: isSession ? 'session' : 'api_key', scopes };
}
