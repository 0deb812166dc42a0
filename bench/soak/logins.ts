import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeviceCredential } from '../../gen/gatehouse/v1/device_grant_pb.ts';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { as, expectOk, type World } from './actions.ts';
import type { HeldSession, Person } from './person.ts';

/** A device that the user signs in: it polls with a nonce until it has the credential of the acknowledged approval. */
export async function signInDevice(world: World, person: Person, session: HeldSession): Promise<void> {
  const { calls, random } = world;
  const credential = random() < 0.5 ? DeviceCredential.API_KEY : DeviceCredential.SESSION;
  const requested = await calls.settle('RequestDeviceCode', ({ devices }, options) =>
    devices.requestDeviceCode({ credential, clientName: 'soak' }, options),
  );
  const codes = expectOk(world, 'a device code', requested);
  if (!codes) return;
  const { userCode, deviceCode } = codes;
  const approved = await calls.settle('ApproveDevice', ({ devices }, options) =>
    devices.approveDevice({ userCode }, { ...options, headers: as(session.accessToken) }),
  );
  // A repeated approval finds the code used.
  if (!(approved.kind === 'refused' && approved.isRepeated)) expectOk(world, 'approval of a device', approved);
  const clientNonce = randomBytes(16).toString('base64url');
  await sleep(Number(codes.interval!.seconds) * 1000);
  const polled = await calls.settle('PollDeviceToken', ({ devices }, options) =>
    devices.pollDeviceToken({ deviceCode, clientNonce }, options),
  );
  const response = expectOk(world, `credential of an approved device of ${person.email}`, polled);
  if (response?.tokens) person.keep(response.session!.id, response.tokens, 'device');
  if (response?.apiKey) person.keys.push(response.apiKey);
}

/** A program that the user signs in. */
export async function signInProgram(world: World, person: Person, session: HeldSession): Promise<void> {
  const { calls } = world;
  const started = await calls.settle('StartCliLogin', ({ devices }, options) =>
    devices.startCliLogin({ clientName: 'soak' }, options),
  );
  const login = expectOk(world, 'start of a login', started);
  if (!login) return;
  const { loginCode, pollingCode } = login;
  const completed = await calls.settle('CompleteCliLogin', ({ devices }, options) =>
    devices.completeCliLogin({ loginCode }, { ...options, headers: as(session.accessToken) }),
  );
  if (!(completed.kind === 'refused' && completed.isRepeated)) expectOk(world, 'completion of a login', completed);
  const clientNonce = randomBytes(16).toString('base64url');
  await sleep(Number(login.interval!.seconds) * 1000);
  const polled = await calls.settle('PollCliLogin', ({ devices }, options) =>
    devices.pollCliLogin({ pollingCode, clientNonce }, options),
  );
  const response = expectOk(world, `tokens of a completed login of ${person.email}`, polled);
  if (!response) return;
  if (response.state === LoginState.APPROVED) person.keep(response.session!.id, response.tokens!, 'device');
  else world.findings.violate(`a completed login of ${person.email} is in state ${response.state}`);
}
