import { randomBytes } from 'node:crypto';
import { defineEntity, p } from '@mikro-orm/postgresql';
import { uuidv7 } from '../database/uuid.ts';
import { publishablePrefix } from '../text/publishable-key.ts';

const ProjectTable = defineEntity({
  name: 'Project',
  tableName: 'projects',
  properties: {
    id: p.uuid().primary(),
    slug: p.string().length(63).unique(),
    createdAt: p.datetime(3),
    /** Raised to revoke every session and API key: one with another epoch is revoked. */
    sessionEpoch: p.integer().default(0),
    /** Names the project in the `apikey` of /auth/v1. It is public. Null for the default project. */
    publishableKey: p.string().length(63).nullable().unique(),
  },
});

/** The tenant. Every other table has its id. An installation starts with one project, `default`. */
export class Project extends ProjectTable.class {
  static create(slug: string, now: Date): Project {
    const publishableKey = publishablePrefix + randomBytes(24).toString('base64url');
    return Object.assign(new Project(), { id: uuidv7(now), slug, createdAt: now, sessionEpoch: 0, publishableKey });
  }
}
ProjectTable.setClass(Project);

/** SQL: the epoch of a project at this moment. A session or an API key of another epoch is revoked. */
export function currentEpoch(projectId: string): string {
  return `(select session_epoch from projects where id = ${projectId})`;
}

/**
 * The column of a table whose rows belong to a project. It has no foreign key: each sign-in would lock the one row of the
 * project, and concurrent locks of one row cost MultiXacts, of which PostgreSQL has a limited number. What ties these rows
 * to a project are the keys to their users and accounts.
 */
export function projectColumn() {
  return p.manyToOne(Project).mapToPk().fieldName('project_id').createForeignKeyConstraint(false);
}

/** Created by the first migration, the same in every installation. */
export const defaultProjectId = '00000000-0000-7000-8000-000000000001';
