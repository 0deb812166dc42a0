import { randomUUID } from 'node:crypto';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import type { Run } from './methods.ts';
import { asService } from './people.ts';
import type { bearer, TestService, Wire } from './start.ts';

const phrase = 'a phrase that is long';

/** Calls every method that takes a request id, and repeats each call. */
export async function repeatMethods(
  service: TestService,
  wire: Wire,
  step: Run,
  { as, accountId }: { as: ReturnType<typeof bearer>; accountId: string },
): Promise<void> {
  const { accounts, admin, auth, devices } = service.clients(wire);
  const requestId = randomUUID();
  const twice = async <T>(name: string, call: () => Promise<T>): Promise<T> => {
    await step(`${name} (request id)`, call);
    return step(`${name} (repeated)`, call);
  };
  const olivia = { email: 'olivia@example.org', password: phrase };
  const { user } = await twice('CreateUser', () => admin.createUser({ ...olivia, requestId }, asService));
  const asMember = { accountId, role: AccountRole.MEMBER, requestId };
  await twice('AddMember', () => accounts.addMember({ ...asMember, userId: user!.id }, asService));
  const inviting = { ...asMember, email: 'peggy@example.org' };
  await twice('CreateAccountInvite', () => accounts.createAccountInvite(inviting, asService));
  await twice('CreateInviteCode', () => admin.createInviteCode({ requestId }, asService));
  await twice('CreateProject', () => admin.createProject({ slug: 'repeated', requestId }, asService));
  await accounts.consumeUsage({ amount: 1 }, as);
  await twice('ConsumeUsage', () => accounts.consumeUsage({ amount: 1, requestId }, as));
  await twice('CreateApiKey', () => devices.createApiKey({ name: 'a program', requestId }, as));
  const rupert = { email: 'rupert@example.org', password: phrase, requestId };
  await twice('Register', () => auth.register(rupert));
}
