import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { anyCaller, change, projectOf } from '../rpc/context.ts';
import { changeMetadata, noMetadata } from '../user/metadata.ts';
import { createUser as insertUser } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { managedUserToMessage } from './message.ts';

export function createUser({ now, passwords, joining }: AdminDeps): AdminMethods['createUser'] {
  return async (request, context) => {
    const { email, password, passwordHash: importedHash, name, emailVerified, mustChangePassword } = request;
    const metadata = changeMetadata(noMetadata, request);
    if (password && importedHash)
      throw new Refusal('INVALID_ARGUMENT', {
        fields: [{ field: 'password_hash', description: 'not with a password' }],
      });
    const hashed = password ? await passwords.hashNew(password, [email, name], context.signal) : null;
    const passwordHash = importedHash ? passwords.takeOver(importedHash) : hashed;
    const at = now();
    const projectId = projectOf(context);
    // Nobody but a backend vouches for an address, and an operator does not know the password of anybody for long.
    const isService = anyCaller(context).kind === 'service';
    const registration = {
      ...{ projectId, email, name, passwordHash, ...metadata },
      emailVerified: isService && emailVerified,
      mustChangePassword: mustChangePassword || (!isService && passwordHash !== null),
    };
    const user = await change(context, async (em) => {
      const user = await insertUser(em, registration, at);
      await joining.open(em, user, at);
      audit(em, context, { action: 'user.create', userId: user.id }, at);
      return user;
    });
    return { user: managedUserToMessage(user, at) };
  };
}
