import type { Run } from './methods.ts';
import { asService } from './people.ts';
import { bearer, type TestService, type Wire } from './start.ts';

/** Runs every method about API keys, and those that an API key may call. */
export async function callKeyMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { auth, sessions, accounts, devices } = service.clients(wire);
  const kate = { email: 'kate@example.org', password: 'kate has a long one', emailVerified: true };
  const { as } = await service.welcome(kate);
  const { apiKey, secret } = await step('CreateApiKey', () => devices.createApiKey({ name: 'a program' }, as));
  const asKey = bearer({ accessToken: secret });
  await step('Introspect (API key)', () => sessions.introspect({ token: secret }, asService));
  await step('GetMe (API key)', () => auth.getMe({}, asKey));
  await accounts.consumeUsage({ amount: 1 }, as);
  await step('ConsumeUsage (API key)', () => accounts.consumeUsage({ amount: 1 }, asKey));
  await step('ListApiKeys', () => devices.listApiKeys({}, as));
  await step('RevokeApiKey', () => devices.revokeApiKey({ apiKeyId: apiKey!.id }, as));
  await devices.revokeApiKey({ apiKeyId: apiKey!.id }, as);
}
