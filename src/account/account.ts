import { randomInt } from 'node:crypto';
import { defineEntity, p } from '@mikro-orm/postgresql';
import { Project } from '../project/project.ts';
import { User } from '../user/user.ts';

const AccountTable = defineEntity({
  name: 'Account',
  tableName: 'accounts',
  properties: {
    id: p.uuid().primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    name: p.string().length(300),
    displayCode: p.string().length(8),
    ownerId: () => p.manyToOne(User).mapToPk().fieldName('owner_id').nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3),
  },
  uniques: [{ name: 'accounts_display_code_key', properties: ['projectId', 'displayCode'] }],
});

/** A group of people who share a subscription. */
export class Account extends AccountTable.class {}
AccountTable.setClass(Account);

/** The name of a new account, after its owner. */
export function accountNameOf({ name, email }: Pick<User, 'name' | 'email'>): string {
  const owner = name || email?.split('@')[0];
  return owner ? `${owner}'s Account` : 'Account';
}

const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

/** Eight characters by which people tell accounts apart. */
export function randomDisplayCode(): string {
  return Array.from({ length: 8 }, () => characters[randomInt(characters.length)]).join('');
}
