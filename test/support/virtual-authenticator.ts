import type { Page } from 'playwright-core';

/** Gives a page an authenticator, the only one that it reaches. Returns a function that takes it away. */
export async function plugIn(tab: Page, hasUserVerification: boolean, transport: 'internal' | 'usb' = 'internal') {
  const session = await tab.context().newCDPSession(tab);
  await session.send('WebAuthn.enable');
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport,
      hasResidentKey: true,
      hasUserVerification,
      isUserVerified: hasUserVerification,
      automaticPresenceSimulation: true,
    },
  });
  return () => session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
}
