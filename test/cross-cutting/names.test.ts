import { expect, test } from 'vitest';
import { readImportLine } from '../../src/admin/import-line.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { ada, asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const hebrew = 'עדה';
/** With marks of writing direction at the ends, as keyboards and copied text leave them there. */
const marked = [`${hebrew}\u200f`, `\u200f${hebrew}`, `\u200e${hebrew}\u200f\u200e`, `${hebrew}\u061c`];

test.each(wires)('over %s marks of writing direction at the ends of a name are trimmed', async (wire) => {
  const service = await start();
  const { auth, admin, accounts } = service.clients(wire);
  const { user } = await auth.register({ ...ada, name: marked[0]! });
  expect(user!.name).toBe(hebrew);
  const userId = user!.id;
  const { as, account } = await service.signIn(ada);
  for (const name of marked) {
    expect((await auth.updateMe({ name }, as)).user!.name).toBe(hebrew);
    expect((await admin.updateUser({ userId, name }, asService)).user!.name).toBe(hebrew);
    expect((await accounts.updateAccount({ accountId: account.id, name }, as)).account!.name).toBe(hebrew);
  }
  const only = accounts.updateAccount({ accountId: account.id, name: '\u200f\u200e' }, as);
  expect(await refusalOf(only)).toMatchObject({ code: 3, fields: ['name'] });
});

test.each(wires)('over %s a mark within a name, and other invisible characters, are refused', async (wire) => {
  const service = await start();
  const { auth } = service.clients(wire);
  for (const name of ['a\u200fb', 'ada\u202e', '\u2066ada', 'ada\u200b', 'ada\ufeff\u200f', 'a\u200f b\u200f'])
    expect(await refusalOf(auth.register({ ...ada, name }))).toMatchObject({ code: 3, fields: ['name'] });
});

test('an import trims the same marks', () => {
  const keys = new MasterKeys([{ id: 'first', key: Buffer.alloc(32) }]);
  const reading = { projectId: defaultProjectId, now: new Date(), keys };
  const nameOf = (name: string) => readImportLine(JSON.stringify({ email: ada.email, name }), reading);
  for (const name of marked) expect(nameOf(name)).toMatchObject({ user: { name: hebrew } });
  expect(nameOf('a\u200fb')).toEqual({ why: 'name: holds characters that nobody sees' });
});
