import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { mintRefreshToken } from '../../src/session/refresh-token.ts';
import type { TestService } from './start.ts';

/** A refresh token of the session as another project of the installation would mint it. */
export function mintForProject(
  service: TestService,
  { user, session }: { user: { id: string }; session: { id: string } },
) {
  const token = { userId: user.id, sessionId: session.id, generation: 0, secret: Buffer.alloc(16, 7) };
  return mintRefreshToken(new MasterKeys(service.config.masterKeys), '00000000-0000-7000-8000-000000000002', token);
}
