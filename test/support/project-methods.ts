import { createHash } from 'node:crypto';
import type { JsonObject } from '@bufbuild/protobuf';
import { SettingName } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { Run } from './methods.ts';
import { asService } from './people.ts';
import type { TestService, Wire } from './start.ts';

/** The most statements of each method, as in test/database/statement-budgets.ts. */
export const projectCosts = {
  CreateProject: 10,
  'CreateProject (request id)': 12,
  'CreateProject (repeated)': 4,
  GetProject: 1,
  ListProjects: 1,
  UpdateProject: 9,
};

/** A service key for a project, and its hash. */
export function newServiceKey(name: string, scopes: string[] = []) {
  const key = `ghs_${name}_${scopes.join('_')}_of-a-test`;
  const sha256 = createHash('sha256').update(key).digest('hex');
  return { draft: { name, sha256, scopes }, as: { headers: { authorization: `Bearer ${key}` } }, key };
}

/** Calls every method of projects. */
export async function callProjectMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { admin } = service.clients(wire);
  const [first, second] = ['first', 'second'].map((name) => newServiceKey(`methods-${name}`));
  const draft = { slug: 'of-the-methods', settings: { signUp: false }, serviceKeys: [first!.draft] };
  const { project } = await step('CreateProject', () => admin.createProject(draft, asService));
  await step('GetProject', () => admin.getProject({ project: project!.slug }, asService));
  await step('ListProjects', () => admin.listProjects({}, asService));
  const change = {
    ...{ project: project!.id, settings: { siteUrl: 'https://b.example.org' }, reset: [SettingName.SIGN_UP] },
    ...{ addServiceKeys: [second!.draft], removeServiceKeys: [first!.draft.name] },
  };
  await step('UpdateProject', () => admin.updateProject(change, asService));
}

/** A request of each method of projects that it accepts. */
export function projectSamples(service: TestService): Record<string, () => JsonObject | Promise<JsonObject>> {
  const { admin } = service.clients('json');
  let count = 0;
  const create = async () => {
    const { project } = await admin.createProject({ slug: `sample-${++count}` }, asService);
    return project!;
  };
  return {
    'AdminService.CreateProject': () => ({
      slug: `sample-${++count}`,
      settings: { passwordMinLength: 12, siteUrl: 'https://b.example.org', redirectUrls: { values: [] } },
    }),
    'AdminService.GetProject': async () => ({ project: (await create()).slug }),
    'AdminService.ListProjects': async () => {
      await create();
      return { pageSize: 1 };
    },
    'AdminService.UpdateProject': async () => ({
      project: (await create()).id,
      settings: { signUp: false, appName: 'Engines' },
      reset: ['SETTING_NAME_LIMITS'],
    }),
  };
}
