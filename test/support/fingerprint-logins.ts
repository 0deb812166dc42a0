import { authCodeOf } from './fingerprint-samples.ts';
import { ada, bob } from './people.ts';
import { type bearer, type StartOptions, start, type TestService, type Wire } from './start.ts';

export const fingerprintId = 'the_machine-of-ada';
const proved = { emailVerified: true };

type As = ReturnType<typeof bearer>;

export type Prepared = Awaited<ReturnType<typeof prepareLogins>>;

/** A service with two users, and the steps of fingerprint logins over a wire. */
export async function prepareLogins(wire: Wire, options: StartOptions = {}) {
  const service = await start(options);
  const { devices, sessions } = service.clients(wire);
  const here = await service.welcome({ ...ada, ...proved });
  const other = await service.welcome({ ...bob, ...proved });
  const begin = (machine = fingerprintId) => devices.startFingerprintLogin({ fingerprintId: machine });
  const poll = (login: { pollingCode: string }, clientNonce = '') =>
    devices.pollFingerprintLogin({ pollingCode: login.pollingCode, clientNonce });
  const confirm = (login: { loginUrl: string }, as: As = here.as) =>
    devices.confirmFingerprintLogin({ authCode: authCodeOf(login) }, as);
  const connect = async (as: As = here.as, machine = fingerprintId) => {
    const login = await begin(machine);
    await confirm(login, as);
    return poll(login);
  };
  return { service, devices, sessions, here, other, begin, poll, confirm, connect };
}

/** The actions of the audit trail, in their order. */
export async function actionsOf({ database }: TestService, like = 'device.%'): Promise<string[]> {
  const rows = await database.query<{ action: string }>(
    `select action from audit_events where action like $1 order by id`,
    [like],
  );
  return rows.map(({ action }) => action);
}
