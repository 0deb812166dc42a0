import type { JsonObject } from '@bufbuild/protobuf';
import type { CallOptions } from '@connectrpc/connect';
import { registerPasskey } from './passkeys.ts';
import { SoftwareAuthenticator } from './software-authenticator.ts';
import type { TestService } from './start.ts';

type Person = { email: string; password: string; name: string };

/** The samples of the methods about passkeys. Each has a user of its own. */
export function passkeySamples(service: TestService, newcomer: () => Person) {
  const clients = service.clients('json');
  const { mfa } = clients;
  const owners: Record<string, Record<string, string>> = {};
  const owner = async (method: string) => {
    const { as } = await service.welcome({ ...newcomer(), emailVerified: true });
    owners[`MfaService.${method}`] = as.headers;
    return as;
  };
  const named = async (method: string): Promise<string> => {
    const { passkey } = await registerPasskey(clients, await owner(method), new SoftwareAuthenticator());
    return passkey!.id;
  };
  const requests: Record<string, () => Promise<JsonObject>> = {
    'MfaService.StartPasskeyRegistration': async () => {
      await owner('StartPasskeyRegistration');
      return {};
    },
    'MfaService.FinishPasskeyRegistration': async () => {
      const as = await owner('FinishPasskeyRegistration');
      const { challengeId, creationOptions } = await mfa.startPasskeyRegistration({}, as);
      const credential = new SoftwareAuthenticator().create(creationOptions!);
      return { challengeId, credential, friendlyName: 'laptop' };
    },
    'MfaService.StartPasskeySignIn': async () => ({}),
    'MfaService.FinishPasskeySignIn': async () => {
      const device = new SoftwareAuthenticator();
      const { as } = await service.welcome({ ...newcomer(), emailVerified: true });
      await registerPasskey(clients, as, device);
      const { requestOptions } = await mfa.startPasskeySignIn({});
      return { credential: device.get(requestOptions!), kind: 'SESSION_KIND_NATIVE' };
    },
    'MfaService.ListPasskeys': async () => {
      await named('ListPasskeys');
      return {};
    },
    'MfaService.RenamePasskey': async () => ({ passkeyId: await named('RenamePasskey'), friendlyName: 'mine' }),
    'MfaService.DeletePasskey': async () => ({ passkeyId: await named('DeletePasskey') }),
  };
  return { requests, headersOf: (name: string) => owners[name] };
}

/** Requests that these methods refuse. */
export function passkeyRefusals(
  as: CallOptions,
  nobody: string,
): Record<string, [request: object, headers?: Record<string, string>][]> {
  const headers = as.headers as Record<string, string>;
  return {
    'MfaService.StartPasskeyRegistration': [[{}]],
    'MfaService.FinishPasskeyRegistration': [
      [{ challengeId: nobody, credential: {} }, headers],
      [{ challengeId: 'x', credential: {} }, headers],
      [{ challengeId: nobody }, headers],
    ],
    'MfaService.StartPasskeySignIn': [],
    'MfaService.FinishPasskeySignIn': [[{}], [{ credential: {} }], [{ credential: { id: 'AA' }, kind: 5 }]],
    'MfaService.ListPasskeys': [[{}]],
    'MfaService.RenamePasskey': [
      [{ passkeyId: nobody, friendlyName: 'x' }, headers],
      [{ passkeyId: nobody }, headers],
    ],
    'MfaService.DeletePasskey': [[{ passkeyId: nobody }, headers], [{ passkeyId: nobody }]],
  };
}
