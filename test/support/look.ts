/** How mails look without settings. */
export const look = { name: 'gatehouse.test', logoUrl: undefined, accent: '#0b57d0' };
