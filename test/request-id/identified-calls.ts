import { randomUUID } from 'node:crypto';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { asService, bob } from '../support/people.ts';
import type { Clients, TestService } from '../support/start.ts';

/** A method that takes a request id, called in a way that creates or consumes something each time it has an effect. */
export interface IdentifiedCall {
  /** Calls the method. Returns the response. */
  readonly call: (clients: Clients, requestId: string) => Promise<object>;
  /** The same with another request. */
  readonly callWithOther: (clients: Clients, requestId: string) => Promise<object>;
  /** Calls as another caller. Undefined for a method that only one backend may call here. */
  readonly callAsOther?: (clients: Clients, requestId: string) => Promise<object>;
  /** How many effects the calls had. */
  readonly effects: () => Promise<number>;
  readonly hours: number;
}

type Prepare = (service: TestService) => Promise<IdentifiedCall>;

export const newRequestId = (): string => randomUUID();

const counting =
  ({ database }: TestService, sql: string, values: unknown[] = []) =>
  async () =>
    Number((await database.query<{ count: string }>(sql, values))[0]?.count ?? 0);

/** The methods with a request id, Register aside: its response has tokens, and has tests of its own. */
export const identifiedCalls: Readonly<Record<string, Prepare>> = {
  async CreateUser(service) {
    const operator = await service.operator();
    // Keys of metadata have no order.
    const request = { email: 'new@example.org', password: 'a long enough phrase', appMetadata: { a: 1, b: { c: 2 } } };
    const reordered = { ...request, appMetadata: { b: { c: 2 }, a: 1 } };
    let calls = 0;
    return {
      call: ({ admin }, requestId) =>
        admin.createUser({ ...(calls++ % 2 ? reordered : request), requestId }, asService),
      callWithOther: ({ admin }, requestId) => admin.createUser({ ...request, name: 'New', requestId }, asService),
      callAsOther: ({ admin }, requestId) => admin.createUser({ email: 'other@example.org', requestId }, operator.as),
      effects: counting(
        service,
        `select count(*) from users where email like '%@example.org' and email <> 'grace@example.org'`,
      ),
      hours: 24,
    };
  },
  async CreateAccountInvite(service) {
    const { account, as } = await service.welcome({ ...bob, emailVerified: true });
    const request = { accountId: account.id, email: 'new@example.org', role: AccountRole.MEMBER };
    return {
      call: ({ accounts }, requestId) => accounts.createAccountInvite({ ...request, requestId }, asService),
      callWithOther: ({ accounts }, requestId) =>
        accounts.createAccountInvite({ ...request, role: AccountRole.VIEWER, requestId }, asService),
      callAsOther: ({ accounts }, requestId) =>
        accounts.createAccountInvite({ ...request, email: 'other@example.org', requestId }, as),
      effects: counting(service, 'select count(*) from account_invites'),
      hours: 24,
    };
  },
  async CreateInviteCode(service) {
    const { as } = await service.operator();
    return {
      call: ({ admin }, requestId) => admin.createInviteCode({ assignedPlan: 'team', requestId }, asService),
      callWithOther: ({ admin }, requestId) => admin.createInviteCode({ assignedPlan: 'pro', requestId }, asService),
      callAsOther: ({ admin }, requestId) => admin.createInviteCode({ assignedPlan: 'team', requestId }, as),
      effects: counting(service, 'select count(*) from invite_codes'),
      hours: 24,
    };
  },
  async AddMember(service) {
    const { account } = await service.welcome();
    const { user } = await service.welcome(bob);
    const request = { accountId: account.id, userId: user.id, role: AccountRole.MEMBER };
    return {
      call: ({ accounts }, requestId) => accounts.addMember({ ...request, requestId }, asService),
      callWithOther: ({ accounts }, requestId) =>
        accounts.addMember({ ...request, role: AccountRole.ADMIN, requestId }, asService),
      effects: counting(service, 'select count(*) from memberships where account_id = $1 and user_id = $2', [
        account.id,
        user.id,
      ]),
      hours: 24,
    };
  },
  async ConsumeUsage(service) {
    const { as, user } = await service.welcome();
    const subject = { case: 'userId', value: user.id } as const;
    return {
      call: ({ accounts }, requestId) => accounts.consumeUsage({ amount: 1, requestId }, as),
      callWithOther: ({ accounts }, requestId) => accounts.consumeUsage({ amount: 2, requestId }, as),
      callAsOther: ({ accounts }, requestId) => accounts.consumeUsage({ amount: 1, subject, requestId }, asService),
      effects: counting(service, 'select sum(used) as count from usage_counters'),
      hours: 1,
    };
  },
  async 'ConsumeUsage (fingerprint)'(service) {
    const subject = { case: 'fingerprint', value: 'machine-1' } as const;
    const { as } = await service.guest();
    return {
      call: ({ accounts }, requestId) => accounts.consumeUsage({ amount: 1, subject, requestId }, asService),
      callWithOther: ({ accounts }, requestId) =>
        accounts.consumeUsage({ amount: 1, subject: { ...subject, value: 'machine-2' }, requestId }, asService),
      callAsOther: ({ accounts }, requestId) => accounts.consumeUsage({ amount: 1, requestId }, as),
      effects: counting(service, 'select sum(used) as count from usage_counters'),
      hours: 1,
    };
  },
};
