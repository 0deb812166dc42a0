import { createGatehouse, type Gatehouse, reasonOf, withBearer } from 'gatehouse/node';

/* A backend that was given an address and a service key: says what it learned, and ends without closing anything. */
const [address = '', serviceKey = ''] = process.argv.slice(2);
const gatehouse: Gatehouse = createGatehouse({ address, tls: false });
const asService = withBearer(serviceKey);

const { user, tokens } = await gatehouse.auth.signUpAnonymous({});
const seen = await gatehouse.sessions.introspect({ token: tokens?.accessToken ?? '' }, asService);
await gatehouse.admin.deleteUser({ userId: seen.userId }, asService);
const refused = await gatehouse.auth.getMe({}, withBearer(tokens?.accessToken ?? '')).catch(reasonOf);

console.log(
  JSON.stringify({ isSameUser: seen.userId === user?.id, seconds: Number(tokens?.expiresIn?.seconds), refused }),
);
