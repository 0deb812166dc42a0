import { audit } from '../audit/event.ts';
import { type Overrides, overrideAll, readOverrides, writeSettings } from '../project/settings.ts';
import { anyCaller, autocommit, change, projectOf } from '../rpc/context.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { settingsToMessage } from './project-message.ts';
import { changedNames, readSettingsOf } from './project-settings.ts';

export function getSettings(deps: AdminDeps): AdminMethods['getSettings'] {
  return async (_, context) => toResponse(deps, await readOverrides(autocommit(context), projectOf(context)));
}

export function updateSettings(deps: AdminDeps): AdminMethods['updateSettings'] {
  const { now, projects } = deps;
  return async (request, context) => {
    const at = now();
    const projectId = projectOf(context);
    const changes = readSettingsOf(deps, request, { caller: anyCaller(context), projectId });
    const overrides = await change(context, async (em) => {
      audit(em, context, { action: 'settings.update', entityId: changedNames(changes) }, at);
      return writeSettings(em, projectId, changes, at);
    });
    await projects.noticeChange();
    return toResponse(deps, overrides);
  };
}

function toResponse({ projects }: AdminDeps, overrides: Overrides) {
  const settings = overrideAll(projects.configured, overrides);
  return { settings: settingsToMessage(settings), overrides: settingsToMessage(overrides) };
}
