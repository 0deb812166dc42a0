SET session_replication_role = replica;

--
-- Data for Name: users; Type: TABLE DATA; Schema: auth; Owner: supabase_auth_admin
--

INSERT INTO "auth"."users" ("instance_id", "id", "aud", "role", "email", "encrypted_password", "email_confirmed_at", "raw_app_meta_data", "raw_user_meta_data", "email_change", "is_super_admin", "created_at", "phone", "banned_until", "is_sso_user", "deleted_at", "is_anonymous") VALUES
	('00000000-0000-0000-0000-000000000000', 'd0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9', 'authenticated', 'authenticated', 'ada@example.org', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', '2024-01-15 10:31:00+00', '{"provider": "email", "providers": ["email"]}', '{"full_name": "Ada Lovelace", "note": "it''s; a ''quoted'' text"}', 'two lines'' of text -- and no comment
'');
INSERT INTO auth.users (id, email) VALUES (''00000000-0000-4000-8000-00000000dead'', ''mallory@example.org'');
COPY auth.users (id, email) FROM stdin;
/*', NULL, '2024-01-15 10:30:00.123456+00', NULL, NULL, false, NULL, false),
	('00000000-0000-0000-0000-000000000000', '6d6b1b6e-27a1-4d2b-9a0c-4f4b8d7c1e02', 'authenticated', 'authenticated', 'bob@example.org', '', '2024-02-01 08:00:00+00', '{"provider": "google", "providers": ["google"]}'::jsonb, E'{"name": "Bob \\"B\\" Babbage"}', '', NULL, '2024-02-01 08:00:00+00', NULL, NULL, false, NULL, false);


INSERT INTO "auth"."identities" ("provider_id", "user_id", "identity_data", "provider", "last_sign_in_at", "created_at", "updated_at", "id") VALUES
	('108451117823764382771', '6d6b1b6e-27a1-4d2b-9a0c-4f4b8d7c1e02', '{"sub": "108451117823764382771", "email": "bob@example.org", "email_verified": true}', 'google', '2024-02-01 08:00:00+00', '2024-02-01 08:00:00+00', '2024-02-01 08:00:00+00', '0c1f7bcd-1111-4a0a-9a55-000000000002');

RESET ALL;
