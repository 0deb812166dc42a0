import { Code, ConnectError, createGatehouse, fieldErrors, reasonOf, SessionKind, withBearer } from 'gatehouse/web';

/** What a page does that calls the service at its own origin, and what it learns. */
export async function visit(origin: string) {
  const { auth, sessions } = createGatehouse({ baseUrl: origin });
  const { session, tokens } = await auth.signUpAnonymous({ kind: SessionKind.NATIVE });
  const asGuest = withBearer(tokens?.accessToken ?? '');
  const listed = await sessions.listSessions({}, asGuest);
  const fields = await auth.register({ email: 'nobody', password: 'an analytical mind' }).catch(fieldErrors);
  const refused = await auth.signIn({ email: 'ada@example.org', password: 'wrong' }).catch(reasonOf);
  const nowhere = createGatehouse({ baseUrl: 'http://gatehouse.invalid', maxAttempts: 1 });
  const unreached = await nowhere.auth.getMe({}, asGuest).catch((error: unknown) => error);
  return {
    isListed: listed.sessions.map(({ id }) => id).includes(session?.id ?? ''),
    fields: Object.keys(fields),
    refused,
    isUnreached: unreached instanceof ConnectError && unreached.code === Code.Unavailable,
  };
}
