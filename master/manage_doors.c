/* SPDX-License-Identifier: MIT
 * The sockets of the management interface: opened while we may, guarded by their mode and by who is calling. */
#include "master/manage_internal.h"

#include "common/base/secret.h"
#include "master/log.h"
#include "master/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 16, GROUPS_MAX = 256 };

/* -- UNIX sockets -- */

static bool somebody_answers(const struct sockaddr_un *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool answers = fd >= 0 && (connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 || errno == EAGAIN);
	if (fd >= 0)
		close(fd);
	return answers;
}

/* What a dead hub left goes; a living one's, and whatever is no socket, stays: then bind() fails. The folder is looked up
 * once, so what is looked at is what goes. */
static void remove_stale(const struct sockaddr_un *name)
{
	char folder[sizeof(name->sun_path)];
	struct stat there;
	const char *slash = strrchr(name->sun_path, '/'), *last = slash ? slash + 1 : name->sun_path;
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(last - name->sun_path) : 1, slash ? name->sun_path : ".");
	int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return;
	if (fstatat(at, last, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(there.st_mode) && !somebody_answers(name))
		unlinkat(at, last, 0);
	close(at);
}

/* Is what stands there (`node`, O_PATH) the file of our socket? Whoever may write in its folder could have put something
 * else in its place, so it is called: the call must arrive here. */
static bool is_ours(int listening, int node)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d", node);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), caller;
	bool arrived = false;
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
		while (!arrived && (caller = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
			struct ucred who;
			socklen_t len = sizeof(who);
			arrived = getsockopt(caller, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid == getpid();
			close(caller);
		}
	if (fd >= 0)
		close(fd);
	return arrived;
}

/* Owner and mode of our socket's file, by a descriptor of it: no name is followed. 0 or a negative errno. */
static int give_away(int listening, const char *path, uid_t owner, gid_t group, mode_t mode)
{
	char link[32];
	int node = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), error = 0;
	if (node < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", node);
	if (!is_ours(listening, node))
		error = -EEXIST;
	else if ((owner != (uid_t)-1 || group != (gid_t)-1) && fchownat(node, "", owner, group, AT_EMPTY_PATH) < 0)
		error = -errno;
	else if (chmod(link, mode) < 0)
		error = -errno;
	close(node);
	return error;
}

/* Nobody but us may open it before its owner and mode are right: the umask is 077. */
static int listen_unix(struct door *door, const char *path, uid_t owner, gid_t group, mode_t mode)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	strcpy(name.sun_path, path);
	if (door->left >= 0) {
		strcpy(door->path, path);
		door->fd = door->left;
		return 0;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;
	if (fd < 0)
		return -errno;
	remove_stale(&name);
	mode_t before = umask(077);
	error = bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ? -errno : 0;
	umask(before);
	bool bound = !error;
	if (!error)
		error = listen(fd, BACKLOG) < 0 ? -errno : give_away(fd, path, owner, group, mode);
	if (error) {
		if (bound && error != -EEXIST) /* else what stands there is another's */
			unlink(path);
		close(fd);
		return error;
	}
	strcpy(door->path, path);
	door->fd = fd;
	return 0;
}

/* -- the control socket -- */

static void open_control(struct manage *g, const struct config *config)
{
	struct door *door = &g->doors[DOOR_CONTROL];
	char path[sizeof(door->path)];
	gid_t group = runtime_readers_group();
	int len = snprintf(path, sizeof(path), "%s/%s.control", config->runtime_dir, config->name);
	int error = len < (int)sizeof(path)
			    ? listen_unix(door, path, (uid_t)-1, group, group == (gid_t)-1 ? 0600 : 0660)
			    : -ENAMETOOLONG;

	door->checks_user = true;
	door->user = geteuid();
	door->checks_group = group != (gid_t)-1;
	door->group = group;
	if (error)
		log_line(LOG_LEVEL_NOTICE,
			"WARNING: no control socket for vpnadm in hub.runtime-dir %s: %s", config->runtime_dir,
			strerror(-error));
}

/* -- the directive's -- */

static int find_accounts(struct door *door, const struct management *m)
{
	const struct passwd *user = m->client_user ? getpwnam(m->client_user) : NULL;
	const struct group *group = m->client_group ? getgrnam(m->client_group) : NULL;

	if (m->client_user && !user) {
		log_line(LOG_LEVEL_ERROR, "management-client-user %s: no such user", m->client_user);
		return -ENOENT;
	}
	if (m->client_group && !group) {
		log_line(LOG_LEVEL_ERROR, "management-client-group %s: no such group", m->client_group);
		return -ENOENT;
	}
	door->checks_user = user != NULL;
	door->user = user ? user->pw_uid : (uid_t)-1;
	door->checks_group = group != NULL;
	door->group = group ? group->gr_gid : (gid_t)-1;
	return 0;
}

/* The first line; the parser's copy is wiped: workers would inherit it. */
static void take_password(struct door *door, const struct file_text *file)
{
	size_t len = file->bytes ? strcspn(file->bytes, "\r\n") : 0;
	if (!len || len > CONFIG_PASSWORD_MAX)
		return; /* a reload whose master has it already */
	memset(door->password, 0, sizeof(door->password));
	memcpy(door->password, file->bytes, len);
	door->password_len = len;
	secret_wipe((char *)(uintptr_t)file->bytes, file->len);
}

static int ask_password(struct door *door)
{
	char error[KEYHOLDER_ERROR_MAX];
	int fd = key_source_ask("management", "Enter Management Password: ", error);
	ssize_t len = fd >= 0 ? pread(fd, door->password, CONFIG_PASSWORD_MAX, 0) : -1;

	if (fd >= 0)
		close(fd);
	if (len > 0)
		door->password[len] = '\0';
	door->password_len = len > 0 ? strcspn(door->password, "\r\n") : 0;
	memset(door->password + door->password_len, 0, sizeof(door->password) - door->password_len);
	if (door->password_len)
		return 0;
	log_line(LOG_LEVEL_ERROR, "%s", fd < 0 ? error : "management: no password was given");
	return -EACCES;
}

static int listen_tcp(struct door *door, const struct management *m)
{
	int one = 1, error = 0;
	if (door->left >= 0) {
		door->fd = door->left;
		return 0;
	}
	int fd = socket(m->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&m->address, m->address_len) < 0 || listen(fd, BACKLOG) < 0) {
		error = -errno;
		close(fd);
	} else {
		door->fd = fd;
	}
	return error;
}

static int open_directive(struct manage *g, const struct management *m)
{
	struct door *door = &g->doors[DOOR_DIRECTIVE];
	int error;

	if (!m->path && !m->host)
		return 0;
	if ((error = find_accounts(door, m)))
		return error;
	take_password(door, &m->password);
	if (m->password.path && !door->password_len && (error = ask_password(door)))
		return error;
	/* with a password the file's mode says who may try; without, it says who may */
	mode_t mode = door->checks_group ? 0660 : 0600;
	error = m->path ? listen_unix(door, m->path, door->user, door->group, mode) : listen_tcp(door, m);
	if (error)
		log_line(LOG_LEVEL_ERROR, "management %s: %s", m->path ? m->path : m->host, strerror(-error));
	return error;
}

int doors_open(struct manage *g, const struct config *config)
{
	for (int d = 0; d < DOORS; d++)
		g->doors[d].fd = -1;
	open_control(g, config);
	return open_directive(g, &config->management);
}

void doors_reloaded(struct manage *g, const struct config *config)
{
	struct door *door = &g->doors[DOOR_DIRECTIVE];
	take_password(door, &config->management.password);
	if (!config->management.password.path) {
		secret_wipe(door->password, sizeof(door->password));
		door->password_len = 0;
	}
}

void doors_close(struct manage *g)
{
	for (int d = 0; d < DOORS; d++) {
		struct door *door = &g->doors[d];
		if (door->fd >= 0) {
			close(door->fd);
			if (door->path[0])
				unlink(door->path);
		}
		secret_wipe(door, sizeof(*door));
		door->fd = -1;
	}
}

/* -- who is calling -- */

static bool in_group(int fd, const struct ucred *caller, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (caller->gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* Root may whatever the mode says. The control socket is for our own account or the group; what the directive
 * names must all be true, as in OpenVPN. */
static bool welcome(const struct door *door, enum door_kind kind, int fd, const struct ucred *caller)
{
	bool user = door->checks_user && caller->uid == door->user;
	bool group = door->checks_group && in_group(fd, caller, door->group);

	if (caller->uid == 0)
		return true;
	if (kind == DOOR_CONTROL)
		return user || group;
	return (user || !door->checks_user) && (group || !door->checks_group);
}

int door_accept(struct manage *g, enum door_kind kind, long *pid, long *uid)
{
	const struct door *door = &g->doors[kind];
	struct ucred caller;
	socklen_t len = sizeof(caller);
	int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	*pid = *uid = -1;
	if (fd < 0)
		return -errno;
	if (!door->path[0])
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &caller, &len) == 0) {
		*pid = caller.pid;
		*uid = (long)caller.uid;
		if (welcome(door, kind, fd, &caller))
			return fd;
	}
	g->counts.refused++;
	if (master_now() - g->refused_at >= 1000) /* whoever is not welcome must not fill the log */
		log_line(LOG_LEVEL_NOTICE, "WARNING: management: pid %ld, uid %ld may not use %s", *pid, *uid, door->path);
	g->refused_at = master_now();
	client_note(g, EVENT_MANAGER_REFUSED, kind, *uid, "not its account");
	close(fd);
	return -EACCES;
}
