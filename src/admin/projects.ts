import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import { insert } from '../database/insert.ts';
import { faultOf } from '../database/sqlstate.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { defaultProjectId, Project } from '../project/project.ts';
import { type ProjectRow, projectColumns } from '../project/projects.ts';
import { writeSettings } from '../project/settings.ts';
import { anyCaller, autocommit, type Caller, change } from '../rpc/context.ts';
import type { Page } from '../rpc/paging.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { managerOfInstallation } from './manager-of-installation.ts';
import { changeKeys, type KeyChange, readKeys } from './project-keys.ts';
import { projectToMessage } from './project-message.ts';
import { readSettingsOf, type SettingsChange } from './project-settings.ts';

type Methods = Pick<AdminMethods, 'createProject' | 'getProject' | 'listProjects' | 'updateProject'>;

const readProject = statement<ProjectRow, { id: string }>(
  'project_shown',
  `select ${projectColumns} from projects p left join project_settings s on s.project_id = p.id where p.id = :id`,
);

const readProjects = statement<ProjectRow, Page & { only: string | null }>(
  'projects_list',
  `select ${projectColumns} from projects p left join project_settings s on s.project_id = p.id
   where (:only::uuid is null or p.id = :only) and (:after::uuid is null or p.id > :after) order by p.id limit :limit`,
);

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The methods of projects. Callers of the default project manage all projects, other callers see their own. */
export function projects(deps: AdminDeps): Methods {
  return {
    createProject: createProject(deps),

    async getProject({ project }, context) {
      return { project: await show(deps, context, await namedFor(deps, context, project)) };
    },

    async listProjects(request, context) {
      const { projectId } = anyCaller(context);
      const only = projectId === defaultProjectId ? null : projectId;
      const { rows, nextPageToken } = await deps.paging.pageOf(context, request, { key: 'id' }, (page) =>
        readProjects(autocommit(context), { only, ...page }),
      );
      return { projects: rows.map((row) => projectToMessage(deps, row)), nextPageToken };
    },

    async updateProject(request, context) {
      const { add, remove } = { add: request.addServiceKeys, remove: request.removeServiceKeys };
      const projectId = await namedFor(deps, context, request.project);
      const caller = anyCaller(context);
      const at = deps.now();
      const changes = readSettingsOf(deps, request, { caller, projectId });
      const keys = readKeys(deps, { add, remove }, { caller, field: 'add_service_keys', now: at });
      await change(context, (em) => saveProject(em, deps, context, { projectId, changes, keys }, at));
      await deps.projects.noticeChange();
      return { project: await show(deps, context, projectId) };
    },
  };
}

function createProject(deps: AdminDeps): Methods['createProject'] {
  const { now, requestIds } = deps;
  return async (request, context) => {
    const { slug, serviceKeys } = request;
    const caller = managerOfInstallation(context);
    const at = now();
    const project = newProject(slug, at);
    const changes = readSettingsOf(deps, request, { caller, projectId: project.id });
    const keys = readKeys(deps, { add: serviceKeys }, { caller, field: 'service_keys', now: at });
    const create = async (em: EntityManager): Promise<string> => {
      await saveProject(em, deps, context, { projectId: project.id, project, changes, keys }, at);
      return project.id;
    };
    const id = await requestIds.once<string, { projectId: string }>(context, request, {
      run: (recorded) =>
        change(context, (em) =>
          recorded(
            em,
            () => create(em),
            (projectId) => ({ projectId }),
          ),
        ),
      repeat: async ({ projectId }) => projectId,
    });
    await deps.projects.noticeChange();
    return { project: await show(deps, context, id) };
  };
}

/** Throws INVALID_ARGUMENT for a slug that has the form of an id: it would name another project. */
export function newProject(slug: string, now: Date): Project {
  if (uuid.test(slug))
    throw new Refusal('INVALID_ARGUMENT', { fields: [{ field: 'slug', description: 'must not be an id' }] });
  return Project.create(slug, now);
}

interface ProjectChange {
  readonly projectId: string;
  /** Set for a new project. */
  readonly project?: Project;
  readonly changes: SettingsChange;
  readonly keys: KeyChange;
}

/** Creates or changes a project, in a transaction. Throws PROJECT_EXISTS or SERVICE_KEY_EXISTS. */
export async function saveProject(
  em: EntityManager,
  deps: Pick<AdminDeps, 'serviceKeys'>,
  context: Pick<HandlerContext, 'values'>,
  { projectId, project, changes, keys }: ProjectChange,
  now: Date,
): Promise<void> {
  if (project)
    await insert(em, project).catch((error: unknown) => {
      throw faultOf(error) === 'unique' ? new Refusal('PROJECT_EXISTS', { cause: error }) : error;
    });
  await writeSettings(em, projectId, changes, now);
  await changeKeys(em, deps, projectId, keys);
  const action = project ? 'project.create' : 'project.update';
  audit(em, context as HandlerContext, { action, entityId: projectId }, now);
}

/** The id of a project that the caller may see. Throws PROJECT_NOT_FOUND. */
async function namedFor({ projects }: AdminDeps, context: HandlerContext, name: string): Promise<string> {
  const { id } = await projects.named(name);
  requireOwn(anyCaller(context), id);
  return id;
}

function requireOwn({ projectId }: Caller, id: string): void {
  if (projectId !== defaultProjectId && projectId !== id) throw new Refusal('PROJECT_NOT_FOUND');
}

async function show(deps: AdminDeps, context: HandlerContext, id: string) {
  const [row] = await readProject(autocommit(context), { id });
  return projectToMessage(deps, row!);
}
