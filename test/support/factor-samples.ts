import type { JsonObject } from '@bufbuild/protobuf';
import type { CallOptions } from '@connectrpc/connect';
import { codeOf, enrollApp, useApp } from './authenticator.ts';
import { bearer, type TestService } from './start.ts';

type Person = { email: string; password: string; name: string };
type As = ReturnType<typeof bearer>;

const payment = {
  action: 'transfer.create',
  description: 'Send 100.00 EUR to Bob',
  payloadHash: Buffer.alloc(32, 7).toString('base64'),
  audience: 'payments',
};

/** The samples of MfaService. Each has a user of its own: a factor changes what the user may do elsewhere. */
export function factorSamples(service: TestService, newcomer: () => Person) {
  const { mfa } = service.clients('json');
  const owners: Record<string, Record<string, string>> = {};
  const welcome = async () => {
    const person = newcomer();
    return { person, ...(await service.welcome({ ...person, emailVerified: true })) };
  };
  /** A session at AAL2 of a user with a factor. */
  const raised = async () => {
    const { person, as, user } = await welcome();
    const { tokens, factorId, secret } = await useApp(service.clients('json'), as, service.now());
    return { person, user, factorId, secret, as: bearer(tokens!) };
  };
  const sample = (method: string, build: () => Promise<{ as: As; request: JsonObject }>) =>
    [
      `MfaService.${method}`,
      async () => {
        const { as, request } = await build();
        owners[`MfaService.${method}`] = as.headers;
        return request;
      },
    ] as const;
  const requests = Object.fromEntries([
    sample('EnrollFactor', async () => {
      const request = { type: 'FACTOR_TYPE_TOTP', friendlyName: 'phone', issuer: 'Example' };
      return { as: (await welcome()).as, request };
    }),
    sample('ChallengeFactor', async () => {
      const { as } = await welcome();
      return { as, request: { factorId: (await enrollApp({ mfa }, as)).factorId } };
    }),
    sample('VerifyFactor', async () => {
      const { as } = await welcome();
      const { factorId, secret } = await enrollApp({ mfa }, as);
      const { challengeId } = await mfa.challengeFactor({ factorId }, as);
      return { as, request: { factorId, challengeId, code: codeOf(secret, service.now()) } };
    }),
    sample('UnenrollFactor', async () => {
      const { as, factorId } = await raised();
      return { as, request: { factorId } };
    }),
    sample('ListFactors', async () => ({ as: (await raised()).as, request: {} })),
    sample('GetAssurance', async () => {
      const { person } = await raised();
      return { as: (await service.signIn(person)).as, request: {} };
    }),
    sample('ListTrustedDevices', async () => ({ as: (await raised()).as, request: {} })),
    sample('RevokeTrustedDevice', async () => {
      const { as, factorId, secret } = await raised();
      const { challengeId } = await mfa.challengeFactor({ factorId }, as);
      const proof = { case: 'code', value: codeOf(secret, new Date(service.now().getTime() + 30_000)) } as const;
      const { tokens } = await mfa.verifyFactor({ factorId, challengeId, proof, trustDevice: true }, as);
      const { trustedDevices } = await mfa.listTrustedDevices({}, bearer(tokens!));
      return { as: bearer(tokens!), request: { trustedDeviceId: trustedDevices[0]!.id } };
    }),
    sample('BeginStepUp', async () => {
      const { as, factorId } = await raised();
      return { as, request: { factorId, ...payment } };
    }),
    sample('FinishStepUp', async () => {
      const { as, factorId, secret } = await raised();
      const payloadHash = Buffer.from(payment.payloadHash, 'base64');
      const { challengeId } = await mfa.beginStepUp({ factorId, ...payment, payloadHash }, as);
      // The code of the next time step: the present one has been used.
      const soon = new Date(service.now().getTime() + 30_000);
      return { as, request: { challengeId, code: codeOf(secret, soon) } };
    }),
    sample('GenerateRecoveryCodes', async () => ({ as: (await raised()).as, request: {} })),
  ]);
  const enrolled = async () => {
    const { user, factorId } = await raised();
    return { userId: user.id, factorId };
  };
  return {
    requests,
    headersOf: (name: string) => owners[name],
    ownerOfFactor: async () => (await raised()).user,
    enrolled,
  };
}

/** Requests that the methods of MfaService refuse. */
export function factorRefusals(
  as: CallOptions,
  nobody: string,
): Record<string, [request: object, headers?: Record<string, string>][]> {
  const headers = as.headers as Record<string, string>;
  const code = { case: 'code', value: '123456' } as const;
  return {
    'MfaService.EnrollFactor': [[{ type: 1 }], [{ type: 3 }, headers], [{}, headers]],
    'MfaService.ChallengeFactor': [
      [{ factorId: nobody }, headers],
      [{ factorId: 'x' }, headers],
    ],
    'MfaService.VerifyFactor': [
      [{ factorId: nobody, challengeId: nobody, proof: code }, headers],
      [{ factorId: nobody, challengeId: nobody }, headers],
    ],
    'MfaService.UnenrollFactor': [[{ factorId: nobody }, headers], [{ factorId: nobody }]],
    'MfaService.ListFactors': [[{}]],
    'MfaService.GetAssurance': [[{}]],
    'MfaService.GenerateRecoveryCodes': [[{}, headers]],
    'MfaService.ListTrustedDevices': [[{}]],
    'MfaService.RevokeTrustedDevice': [
      [{ trustedDeviceId: nobody }, headers],
      [{ trustedDeviceId: 'x' }, headers],
    ],
    'MfaService.BeginStepUp': [
      [{ factorId: nobody, ...payment, payloadHash: Buffer.alloc(32) }, headers],
      [{ factorId: nobody, ...payment, payloadHash: Buffer.alloc(31) }, headers],
    ],
    'MfaService.FinishStepUp': [[{ challengeId: nobody, proof: code }, headers]],
  };
}
