import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ProjectSchema, ProjectSettingsSchema } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { ProjectRow } from '../project/projects.ts';
import { type Overrides, overrideAll } from '../project/settings.ts';
import type { AdminDeps } from './deps.ts';

/** Settings as the API shows them. */
export function settingsToMessage({
  redirectUrls,
  providers,
  limits,
  ...plain
}: Overrides): MessageInitShape<typeof ProjectSettingsSchema> {
  return {
    ...plain,
    ...(redirectUrls && { redirectUrls: { values: [...redirectUrls] } }),
    ...(providers && { providers: { values: [...providers] } }),
    ...(limits && {
      limits: Object.entries(limits)
        .map((each) => each.join('='))
        .join(','),
    }),
  };
}

/** A project with its settings, as the API shows it. */
export function projectToMessage(
  { projects }: Pick<AdminDeps, 'projects'>,
  { id, slug, publishableKey, createdAt, settings, serviceKeys }: ProjectRow,
): MessageInitShape<typeof ProjectSchema> {
  return {
    ...{ id, slug, publishableKey: publishableKey ?? '' },
    settings: settingsToMessage(overrideAll(projects.configured, settings)),
    overrides: settingsToMessage(settings),
    serviceKeys: serviceKeys.map(({ name, scopes = [], createdAt }) => ({
      ...{ name, scopes: [...scopes], createTime: timestampFromDate(new Date(createdAt)) },
    })),
    createTime: timestampFromDate(createdAt),
  };
}
