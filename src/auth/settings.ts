import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { readSettings } from '../project/settings.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import type { AuthDeps } from './deps.ts';
import { providerToMessage } from './oauth/message.ts';
import type { Provider } from './oauth/provider.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'getSettings'>;

export function settings({ projects, registration, oauth }: AuthDeps): Methods {
  return {
    async getSettings(_, context) {
      const projectId = projectOf(context);
      const current = await readSettings(autocommit(context), projectId, registration);
      const { anonymousSignIn, passwordMinLength } = projects.of(projectId).settings;
      const providers = oauth.providers.of(projectId);
      return {
        external: externalOf(providers),
        providers: providers.map(providerToMessage),
        disableSignup: !current.signUp,
        mailerAutoconfirm: current.autoConfirmEmail,
        mfaEnabled: true,
        anonymousUsersEnabled: anonymousSignIn,
        emailVerificationEnabled: current.emailVerification,
        magicLinkEnabled: true,
        passwordMinLength,
      };
    },
  };
}

function externalOf(providers: readonly Provider[]) {
  const names = new Set(providers.map(({ name }) => name));
  return {
    google: names.has('google'),
    github: names.has('github'),
    azure: names.has('microsoft'),
    gitlab: names.has('gitlab'),
    bitbucket: names.has('bitbucket'),
    discord: names.has('discord'),
  };
}
