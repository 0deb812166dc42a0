import { defineEntity, p } from '@mikro-orm/postgresql';
import { Refusal } from '../errors.ts';

const ProjectTable = defineEntity({
  name: 'Project',
  tableName: 'projects',
  properties: {
    id: p.uuid().primary(),
    slug: p.string().length(63).unique(),
    createdAt: p.datetime(3),
    /** Raised to revoke every session and API key: one with another epoch is revoked. */
    sessionEpoch: p.integer().default(0),
  },
});

/** The tenant. Every other table has its id. An installation starts with one project, `default`. */
export class Project extends ProjectTable.class {}
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

/** The project that a `gatehouse-project` header names, by slug or id; the default project without a header. */
export function selectProject(header: string | null): string {
  if (header === null || header === 'default' || header === defaultProjectId) return defaultProjectId;
  throw new Refusal('PROJECT_NOT_FOUND');
}
