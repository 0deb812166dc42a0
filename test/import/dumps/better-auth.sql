--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

CREATE TABLE public."user" (
    id text NOT NULL,
    name text NOT NULL,
    email text NOT NULL
);

COPY public.account (id, "accountId", "providerId", "userId", "accessToken", "refreshToken", "idToken", "accessTokenExpiresAt", "refreshTokenExpiresAt", scope, password, "createdAt", "updatedAt") FROM stdin;
a1	jq4nWvJd8zP0mXkE7TgYbR2sLhC9uAfQ	credential	jq4nWvJd8zP0mXkE7TgYbR2sLhC9uAfQ	\N	\N	\N	\N	\N	\N	6e1f0a9b3c5d7e8f102132435465768a:831aa11221386538d1494aa32c0fd1c2718148bbbe892d3f598906afcc7fbcbce303ad6f79b33ff6f1444f9a493b1019c1c0d47dca3689e632a482c7647f148e	2024-01-15 10:30:00	2024-01-15 10:30:00
a2	108451117823764382771	google	kR8sTq2VwXyZ0aBcDeFgHiJkLmNoPqRs	ya29.token	\N	\N	\N	\N	openid,email	\N	2024-02-01 08:00:00	2024-02-01 08:00:00
a3	AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ	microsoft	kR8sTq2VwXyZ0aBcDeFgHiJkLmNoPqRs	\N	\N	\N	\N	\N	\N	\N	2024-02-01 08:00:00	2024-02-01 08:00:00
a4	0x52908400098527886E0F7030069857D2E4169EE7:1	siwe	kR8sTq2VwXyZ0aBcDeFgHiJkLmNoPqRs	\N	\N	\N	\N	\N	\N	\N	2024-02-01 08:00:00	2024-02-01 08:00:00
\.

COPY public.passkey (id, name, "publicKey", "userId", "credentialID", counter, "deviceType", "backedUp", transports, "createdAt", aaguid) FROM stdin;
p1	Laptop	pQECAyYgASFYIA==	jq4nWvJd8zP0mXkE7TgYbR2sLhC9uAfQ	8Y8v0w	0	multiDevice	t	internal,hybrid	2024-01-15 10:30:00	\N
\.

COPY public."twoFactor" (id, secret, "backupCodes", "userId") FROM stdin;
t1	{{totp_secret}}	{{backup_codes}}	jq4nWvJd8zP0mXkE7TgYbR2sLhC9uAfQ
\.

COPY public."user" (id, name, email, "emailVerified", image, "createdAt", "updatedAt", "twoFactorEnabled", role, banned, "banReason", "banExpires", "isAnonymous") FROM stdin;
jq4nWvJd8zP0mXkE7TgYbR2sLhC9uAfQ	Ada Lovelace	ada@example.org	t	\N	2024-01-15 10:30:00	2024-01-15 10:30:00	t	admin	f	\N	\N	f
kR8sTq2VwXyZ0aBcDeFgHiJkLmNoPqRs	Bob\nBabbage	bob@example.org	t	\N	2024-02-01 08:00:00	2024-02-01 08:00:00	f	user	f	\N	\N	f
banned0000000000000000000000000a	Carol	carol@example.org	f	\N	2024-02-01 08:00:00	2024-02-01 08:00:00	f	user	t	spam	\N	f
guest00000000000000000000000000a	Anonymous	temp@guest.example.org	f	\N	2024-02-01 08:00:00	2024-02-01 08:00:00	f	user	f	\N	\N	t
\.
