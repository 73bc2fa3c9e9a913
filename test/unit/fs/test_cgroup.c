/* Limits of control groups, in folders that look like proc and sys of some machines. */
#include <stdio.h>
#include <stdlib.h>

#include "fs/fs.h"
#include "support/tst.h"

#define MIB ((uint64_t)1 << 20)

static char top[64];

static void put(const char *name, const char *text)
{
	struct err e = ERR_INIT;
	char path[512], *slash;
	snprintf(path, sizeof(path), "%s/%s", top, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	cr_assert_eq(fs_mkdir_p(NULL, path, &e), 0);
	*slash = '/';
	cr_assert_eq(fs_write_atomic(NULL, path, str_of(text), &e), 0);
}

static void setup(void)
{
	snprintf(top, sizeof(top), "/tmp/test_cgroup.XXXXXX");
	cr_assert_not_null(mkdtemp(top));
}

static void teardown(void)
{
	struct err e = ERR_INIT;
	cr_assert_eq(fs_remove_all(NULL, top, &e), 0);
}

#define V2_MOUNT                                                                         \
	"30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

Test(cgroup, version_2_the_least_on_the_way_up, .init = setup, .fini = teardown)
{
	put("proc/self/mountinfo", "24 1 0:22 / /sys rw - sysfs sysfs rw\n" V2_MOUNT);
	put("proc/self/cgroup", "0::/system.slice/thanosc.service\n");
	cr_assert_eq(fs_cgroup_memory(top), UINT64_MAX);
	put("sys/fs/cgroup/system.slice/thanosc.service/memory.max", "max\n");
	cr_assert_eq(fs_cgroup_memory(top), UINT64_MAX);
	put("sys/fs/cgroup/system.slice/memory.max", "1073741824\n");
	cr_assert_eq(fs_cgroup_memory(top), 1024 * MIB);
	put("sys/fs/cgroup/system.slice/thanosc.service/memory.max", "268435456\n");
	cr_assert_eq(fs_cgroup_memory(top), 256 * MIB);
	put("sys/fs/cgroup/memory.max", "1048576\n");
	cr_assert_eq(fs_cgroup_memory(top), MIB);
}

Test(cgroup, version_2_a_container_sees_its_own_group_as_root, .init = setup,
     .fini = teardown)
{
	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/\n");
	put("sys/fs/cgroup/memory.max", "536870912\n");
	cr_assert_eq(fs_cgroup_memory(top), 512 * MIB);
}

Test(cgroup, version_1_beside_other_hierarchies, .init = setup, .fini = teardown)
{
	put("proc/self/mountinfo",
	    "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct\n"
	    "32 30 0:28 / /sys/fs/cgroup/memory rw shared:6 - cgroup cgroup rw,memory\n"
	    "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	put("proc/self/cgroup", "4:memory:/jobs/one\n2:cpuacct,cpu:/\n0::/\n");
	put("sys/fs/cgroup/memory/jobs/one/memory.limit_in_bytes", "104857600\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	cr_assert_eq(fs_cgroup_memory(top), 100 * MIB);
}

Test(cgroup, version_1_a_container_sees_the_path_of_its_host, .init = setup,
     .fini = teardown)
{
	put("proc/self/mountinfo",
	    "32 30 0:28 /docker/ab12 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
	put("proc/self/cgroup", "4:memory:/docker/ab12\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "209715200\n");
	cr_assert_eq(fs_cgroup_memory(top), 200 * MIB);
}

Test(cgroup, what_cannot_be_read_is_no_limit, .init = setup, .fini = teardown)
{
	cr_assert_eq(fs_cgroup_memory(top), UINT64_MAX);
	put("proc/self/mountinfo",
	    "30 24 0:26 / /sys/fs/cgroup rw -\nx\n\n- - - - - - - -\n" V2_MOUNT);
	put("proc/self/cgroup", "0\n:\n0::\n");
	put("sys/fs/cgroup/memory.max", "many\n");
	cr_assert_eq(fs_cgroup_memory(top), UINT64_MAX);
}
