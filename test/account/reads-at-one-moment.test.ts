// @serializable
import { expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Gate } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { type Clients, start, type TestService } from '../support/start.ts';

type Member = Awaited<ReturnType<TestService['signIn']>>;

test.each<[method: string, read: (clients: Clients, me: Member) => Promise<unknown>]>([
  ['GetAccount', ({ accounts }, { as, account }) => accounts.getAccount({ accountId: account.id }, as)],
  ['ListMembers', ({ accounts }, { as, account }) => accounts.listMembers({ accountId: account.id }, as)],
  ['ListAccountInvites', ({ accounts }, { as, account }) => accounts.listAccountInvites({ accountId: account.id }, as)],
])(
  '%s reads caller, role and response at one moment, also when the caller leaves the account meanwhile',
  async (method, read) => {
    const gate = new Gate(method, 1);
    const service = await start({ replicas: 2, inner: [gate.interceptor('method')] });
    const me = await service.welcome(ada);
    const other = await service.welcome(bob);
    const { accounts } = service.clients('json', 1);
    const accountId = me.account.id;
    await accounts.addMember({ accountId, userId: other.user.id, role: AccountRole.OWNER }, asService);
    const reading = read(service.clients('grpc'), me);
    await gate.reached;
    await accounts.removeMember({ accountId, userId: me.user.id }, other.as);
    gate.open();
    await reading;
    expect((await refusalOf(read(service.clients('grpc'), me))).reason).toBe('ACCOUNT_NOT_FOUND');
  },
);
