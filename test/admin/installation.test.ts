import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import { SettingName, SigningKeyState } from '../../gen/gatehouse/v1/admin_pb.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('a changed setting holds on every replica at once, until it is reset', async () => {
    const service = await start({ replicas: 2 });
    const { admin, auth } = service.clients(wire);
    const there = service.clients(wire, 1).auth;
    expect(await admin.getSettings({}, asService)).toMatchObject({
      settings: { signUp: true, autoConfirmEmail: false, emailVerification: true },
      overrides: {},
    });
    await admin.updateSettings({ settings: { signUp: false } }, asService);
    const after = await admin.updateSettings({ settings: { autoConfirmEmail: true } }, asService);
    expect(after).toMatchObject({ settings: { signUp: false, autoConfirmEmail: true } });
    for (const each of [auth, there]) expect((await refusalOf(each.register(ada))).reason).toBe('SIGN_UP_DISABLED');
    await admin.updateSettings({ reset: [SettingName.SIGN_UP] }, asService);
    expect((await there.register(ada)).tokens).toBeDefined();
    const { overrides } = await admin.updateSettings({ reset: [SettingName.AUTO_CONFIRM_EMAIL] }, asService);
    expect(overrides).toMatchObject({});
    expect((await auth.register(bob)).tokens).toBeUndefined();
    const { events } = await admin.listAuditEvents({ action: 'settings.update' }, asService);
    expect(events).toHaveLength(4);
  });

  test('with email_verification off no verification mail is sent, on any replica, until it is on again', async () => {
    const service = await start({ replicas: 2 });
    const { admin, auth } = service.clients(wire);
    const there = service.clients(wire, 1).auth;
    await auth.register(bob);
    const sentBefore = await tokenFor(service, bob.email);
    const { overrides } = await admin.updateSettings({ settings: { emailVerification: false } }, asService);
    expect(overrides).toMatchObject({ emailVerification: false });
    expect((await there.getEmailVerificationStatus({})).enabled).toBe(false);
    expect((await there.getSettings({})).emailVerificationEnabled).toBe(false);
    expect(await refusalOf(there.sendVerificationEmail({ email: bob.email }))).toMatchObject({
      reason: 'EMAIL_VERIFICATION_DISABLED',
    });
    const queue = 'select from mail_outbox';
    const before = await service.database.query(queue);
    await there.register(ada);
    expect(await service.database.query(queue)).toEqual(before);
    await auth.verifyEmail({ token: sentBefore });
    await admin.updateSettings({ reset: [SettingName.EMAIL_VERIFICATION] }, asService);
    expect((await there.getEmailVerificationStatus({})).enabled).toBe(true);
    await auth.sendVerificationEmail({ email: ada.email });
    await tokenFor(service, ada.email);
  });

  test('with HIDE_REGISTRATION no setting lets an unverified address sign in', async () => {
    const service = await start({ env: { HIDE_REGISTRATION: 'on' } });
    const { admin, auth } = service.clients(wire);
    const { settings } = await admin.updateSettings(
      { settings: { emailVerification: false, autoConfirmEmail: true } },
      asService,
    );
    expect(settings).toMatchObject({ emailVerification: true, autoConfirmEmail: false });
    expect(await auth.register(ada)).not.toHaveProperty('tokens');
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    await auth.verifyEmail({ token: await tokenFor(service, ada.email) });
    await auth.signIn(ada);
  });

  test('a key rotates once verifiers can have the next one, and is revoked by its id', async () => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const { as } = await service.welcome();
    const list = async () => (await admin.listSigningKeys({}, asService)).keys;
    const shown = ['$typeName', 'algorithm', 'createTime', 'id', 'state', 'stateTime'];
    for (const each of await list()) expect(Object.keys(each).sort(), 'no private half').toEqual(shown);
    const before = await list();
    expect(before.map(({ state }) => state).sort()).toEqual([SigningKeyState.STANDBY, SigningKeyState.ACTIVE]);
    const tooSoon = await refusalWithoutTrace(service.database, () => admin.rotateSigningKey({}, asService));
    expect(tooSoon).toMatchObject({ code: 9, reason: 'KEY_TOO_YOUNG' });
    expect(tooSoon.retryAfter).toBeGreaterThan(290);
    service.pass(300);
    const { keys } = await admin.rotateSigningKey({}, asService);
    const stateOf = (kid: string) => keys.find(({ id }) => id === kid)!.state;
    expect(before.map(({ id, state }) => [state, stateOf(id)]).sort()).toEqual([
      [SigningKeyState.STANDBY, SigningKeyState.ACTIVE],
      [SigningKeyState.ACTIVE, SigningKeyState.RETIRED],
    ]);
    await auth.getMe({}, as);
    const { id: signingKeyId } = before.find(({ state }) => state === SigningKeyState.ACTIVE)!;
    await admin.revokeSigningKey({ signingKeyId }, asService);
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('TOKEN_INVALID');
    expect((await refusalOf(admin.revokeSigningKey({ signingKeyId: 'x'.repeat(43) }, asService))).reason).toBe(
      'SIGNING_KEY_NOT_FOUND',
    );
    const { events } = await admin.listAuditEvents({}, asService);
    expect(events.slice(0, 2).map(({ action }) => action)).toEqual(['key.revoke', 'key.rotate']);
  });

  test('audit events are listed newest first, page by page, by user, action and time', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { user } = await service.welcome(ada);
    const begun = service.now();
    for (let day = 0; day < 3; day++) {
      service.pass(86_400);
      await service.signIn(ada);
      await service.guest();
    }
    const all = async (filter: object, pageSize = 2) => {
      const seen: string[] = [];
      for (let pageToken = '', pages = 0; pages < 20; pages++) {
        const page = await admin.listAuditEvents({ ...filter, pageSize, pageToken }, asService);
        seen.push(...page.events.map(({ id }) => id));
        pageToken = page.nextPageToken;
        if (!pageToken) break;
      }
      return seen;
    };
    const stored = async (where: string) =>
      (await service.database.query(`select id from audit_events where ${where} order by at desc, id desc`)).map(
        ({ id }) => id,
      );
    expect(await all({})).toEqual(await stored('true'));
    expect(await all({ userId: user.id })).toEqual(await stored(`user_id = '${user.id}'`));
    expect(await all({ action: 'auth.login' })).toEqual(await stored(`action = 'auth.login'`));
    expect(await all({ action: 'auth.login', userId: user.id }, 1)).toHaveLength(4);
    const startTime = timestampFromDate(new Date(begun.getTime() + 1.5 * 86_400_000));
    const endTime = timestampFromDate(new Date(begun.getTime() + 2.5 * 86_400_000));
    expect(await all({ startTime })).toHaveLength(4);
    expect(await all({ startTime, endTime })).toHaveLength(2);
    expect(await all({ endTime: startTime, startTime: endTime })).toEqual([]);
    const { nextPageToken: pageToken } = await admin.listAuditEvents({ pageSize: 1 }, asService);
    for (const filter of [{ userId: user.id }, { action: 'auth.login' }, { startTime }])
      expect((await refusalOf(admin.listAuditEvents({ ...filter, pageToken }, asService))).reason).toBe(
        'PAGE_TOKEN_INVALID',
      );
  });

  test('the events of another project are never listed', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { user } = await service.welcome(ada);
    await service.database.query(`insert into audit_events (id, project_id, at, action, result, actor_kind, user_id, address, user_agent, request_id)
      select gen_random_uuid(), gen_random_uuid(), now(), 'auth.login', 'SUCCESS', 'anyone', '${user.id}', '', '', 'foreign'`);
    for (const filter of [{}, { userId: user.id }, { action: 'auth.login' }]) {
      const { events } = await admin.listAuditEvents(filter, asService);
      expect(events.filter(({ requestId }) => requestId === 'foreign')).toEqual([]);
    }
    await service.database.query('delete from audit_unsealed');
  });
});

test('a page by action examines ten thousand events, and the next page continues behind them', async () => {
  const service = await start();
  const { admin } = service.clients('json');
  await service.guest();
  await service.database.query(`alter table audit_events disable trigger audit_events_queue`);
  await service.database.query(`insert into audit_events (id, project_id, at, action, result, actor_kind, address, user_agent, request_id)
    select gen_random_uuid(), id, now() + n * interval '1 millisecond', 'auth.login', 'SUCCESS', 'anyone', '', '', '' from projects, generate_series(1, 15000) n`);
  const action = 'auth.sign_up_anonymous';
  const first = await admin.listAuditEvents({ action }, asService);
  expect(first.events).toEqual([]);
  const { nextPageToken: pageToken } = first;
  const second = await admin.listAuditEvents({ action, pageToken }, asService);
  expect(second).toMatchObject({ events: [{ action }], nextPageToken: '' });
});
