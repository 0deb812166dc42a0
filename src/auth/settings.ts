import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { readSettings } from '../project/settings.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import type { AuthDeps } from './deps.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'getSettings'>;

export function settings({ passwords, registration }: AuthDeps): Methods {
  return {
    async getSettings(_, context) {
      const current = await readSettings(autocommit(context), projectOf(context), registration);
      return {
        external: {},
        disableSignup: !current.signUp,
        mailerAutoconfirm: current.autoConfirmEmail,
        anonymousUsersEnabled: registration.anonymousSignIn,
        emailVerificationEnabled: current.emailVerification,
        magicLinkEnabled: true,
        passwordMinLength: passwords.minLength,
      };
    },
  };
}
