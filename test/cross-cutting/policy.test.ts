import { create, type MessageInitShape, setExtension } from '@bufbuild/protobuf';
import { MethodOptionsSchema } from '@bufbuild/protobuf/wkt';
import { expect, onTestFinished, test } from 'vitest';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { Access, AssuranceLevel, PolicySchema, policy } from '../../gen/gatehouse/v1/policy_pb.ts';
import { credentialsOf } from '../support/credentials.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

/** The outcomes of GetMe under other policies, by caller: the contract has no method with these, or not yet. */
const policies: Record<string, [MessageInitShape<typeof PolicySchema>, Record<string, string>]> = {
  'operators and backends': [
    { access: Access.ADMIN },
    {
      'a user': 'CALLER_NOT_ALLOWED',
      'a guest': 'CALLER_NOT_ALLOWED',
      'a user with two factors': 'CALLER_NOT_ALLOWED',
      'an operator': 'ok',
      'an operator who acts as a user': 'CALLER_NOT_ALLOWED',
    },
  ],
  'users only': [
    {},
    {
      'a guest': 'GUEST_NOT_ALLOWED',
      'a user who must change the password': 'PASSWORD_CHANGE_REQUIRED',
      'a user': 'ok',
    },
  ],
  'guests too': [
    { admitsGuests: true },
    { 'a guest': 'ok', 'a user who must change the password': 'PASSWORD_CHANGE_REQUIRED' },
  ],
  'users who must change the password too': [
    { admitsPasswordChangeRequired: true },
    { 'a guest': 'GUEST_NOT_ALLOWED', 'a user who must change the password': 'ok' },
  ],
  'two factors': [
    { minAssurance: AssuranceLevel.AAL2 },
    { 'a user': 'INSUFFICIENT_AAL', 'a user with two factors': 'ok', 'a guest': 'GUEST_NOT_ALLOWED' },
  ],
  'one factor': [{ minAssurance: AssuranceLevel.AAL1 }, { 'a user': 'ok', 'a user with two factors': 'ok' }],
  'a user who has just signed in': [
    { maxAuthenticationAge: { seconds: 600n } },
    { 'a user': 'ok', 'a user who signed in long ago': 'REAUTHENTICATION_REQUIRED' },
  ],
};

test.each(wires)(
  'over %s a method admits the callers of its policy, and refuses others with what is missing',
  async (wire) => {
    const service = await start({ skipChecks: ['orphans', 'docs'] });
    const { auth } = service.clients(wire);
    const credentials = await credentialsOf(service);
    for (const [name, [rules, expected]] of Object.entries(policies)) {
      setPolicy({ access: Access.USER, ...rules });
      const seen: Record<string, string | undefined> = {};
      for (const who of credentials.filter((each) => expected[each.name])) {
        const call = auth.getMe({}, { headers: { authorization: who.header! } });
        seen[who.name] = await call.then(
          () => 'ok',
          async (error) => (await refusalOf(Promise.reject(error))).reason,
        );
      }
      expect(seen, name).toEqual(expected);
    }
  },
);

test('a refusal for want of a second factor has the required and the current assurance level', async () => {
  setPolicy({ access: Access.USER, minAssurance: AssuranceLevel.AAL2 });
  const service = await start({ skipChecks: ['docs'] });
  const { as } = await service.welcome();
  for (const wire of wires) {
    const refusal = await refusalOf(service.clients(wire).auth.getMe({}, as));
    expect(refusal).toMatchObject({ code: 7, metadata: { required_aal: 'aal2', current_aal: 'aal1' } });
  }
});

function setPolicy(rules: MessageInitShape<typeof PolicySchema>): void {
  const { proto } = AuthService.method.getMe;
  const { options } = proto;
  proto.options = create(MethodOptionsSchema);
  setExtension(proto.options, policy, create(PolicySchema, rules));
  onTestFinished(() => {
    proto.options = options;
  });
}
