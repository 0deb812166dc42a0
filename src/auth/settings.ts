import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { readSettings } from '../project/settings.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import type { AuthDeps } from './deps.ts';
import { providerToMessage } from './oauth/message.ts';
import type { Providers } from './oauth/providers.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'getSettings'>;

export function settings({ passwords, registration, oauth }: AuthDeps): Methods {
  return {
    async getSettings(_, context) {
      const current = await readSettings(autocommit(context), projectOf(context), registration);
      return {
        external: externalOf(oauth.providers),
        providers: oauth.providers.all.map(providerToMessage),
        disableSignup: !current.signUp,
        mailerAutoconfirm: current.autoConfirmEmail,
        mfaEnabled: true,
        anonymousUsersEnabled: registration.anonymousSignIn,
        emailVerificationEnabled: current.emailVerification,
        magicLinkEnabled: true,
        passwordMinLength: passwords.minLength,
      };
    },
  };
}

function externalOf(providers: Providers) {
  return {
    google: providers.has('google'),
    github: providers.has('github'),
    azure: providers.has('microsoft'),
    gitlab: providers.has('gitlab'),
    bitbucket: providers.has('bitbucket'),
    discord: providers.has('discord'),
  };
}
