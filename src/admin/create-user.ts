import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { CreateUserRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { anyCaller, change, projectOf, reads } from '../rpc/context.ts';
import { changeMetadata, noMetadata } from '../user/metadata.ts';
import { findUser, createUser as insertUser, type Registration, type User } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { managedUserToMessage } from './message.ts';

export function createUser(deps: AdminDeps): AdminMethods['createUser'] {
  const { now, requestIds, joining } = deps;
  return async (request, context) => {
    const metadata = changeMetadata(noMetadata, request);
    if (request.password && request.passwordHash)
      throw new Refusal('INVALID_ARGUMENT', {
        fields: [{ field: 'password_hash', description: 'not with a password' }],
      });
    const create = async (em: EntityManager, registration: Registration, at: Date): Promise<User> => {
      const user = await insertUser(em, registration, at);
      await joining.open(em, user, at);
      audit(em, context, { action: 'user.create', userId: user.id }, at);
      return user;
    };
    const user = await requestIds.once<User, { userId: string }>(context, request, {
      async run(recorded) {
        const registration = { ...(await registrationOf(deps, request, context)), ...metadata };
        const at = now();
        return change(context, (em) => recorded(em, () => create(em, registration, at), madeOf));
      },
      repeat: ({ userId }) => findCreated(deps, userId, request.password, context),
    });
    return { user: managedUserToMessage(user, now()) };
  };
}

function madeOf({ id }: User) {
  return { userId: id };
}

async function registrationOf(
  { passwords }: AdminDeps,
  request: CreateUserRequest,
  context: HandlerContext,
): Promise<Registration> {
  const { email, password, passwordHash: importedHash, name, emailVerified, mustChangePassword } = request;
  const hashed = password ? await passwords.hashNew(password, [email, name], context) : null;
  const passwordHash = importedHash ? passwords.takeOver(importedHash) : hashed;
  // Nobody but a backend vouches for an address, and an operator does not know the password of anybody for long.
  const isService = anyCaller(context).kind === 'service';
  return {
    ...{ projectId: projectOf(context), email, name, passwordHash },
    emailVerified: isService && emailVerified,
    mustChangePassword: mustChangePassword || (!isService && passwordHash !== null),
  };
}

/** The user whom an earlier call with the same request id created. Throws REQUEST_ID_REUSED for another password. */
async function findCreated(
  { passwords }: AdminDeps,
  userId: string,
  password: string,
  context: HandlerContext,
): Promise<User> {
  const user = await findUser(reads(context), projectOf(context), userId);
  if (password && !(await passwords.matches(user.passwordHash, password, context.signal)))
    throw new Refusal('REQUEST_ID_REUSED');
  return user;
}
