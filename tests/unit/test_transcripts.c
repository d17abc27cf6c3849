/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transcripts of an operator's session: what stands after a prompt is typed, everything else must
 * be what is seen.
 */
#include "../lib/operators.h"

static void play(const char *want)
{
	struct person p;

	come(&p, CONN_ADMIN, true);
	play_as(&p, want);
	hang_up(&p);
}

#define ASK "Uncommitted changes found, commit them? [yes/no/CANCEL]: "

static const char *const transcripts[] = {
	/* Prompts, abbreviations, blank lines and comments; one line is one commit. */
	"rtr#conf t\n" ENTER "rtr(config)#hostn r1\n"
	"r1(config)#\n"
	"r1(config)#! a remark\n"
	"r1(config)#  int   eth0  \n"
	"r1(config-if)#mtu 1400\n"
	"r1(config-if)#exit\n"
	"r1(config)#do show running-config\n"
	"hostname r1\n!\ninterface eth0\n mtu 1400\n!\nend\n"
	"r1(config)#end\n"
	"r1#sh thing\n"
	"answer 42\n one\n two\nend\n"
	"r1#show rows\n"
	"No entries.\n"
	"r1#show rows | json\n"
	"[]\n"
	"r1#show rows | include x\n"
	"r1#quit\n"
	"[closed]\n",

	/* Errors: the caret stands below the word, the prompt being in front of the line. */
	"rtr#co\n"
	"% Ambiguous command:  \"co\"\n"
	"rtr#show\n"
	"% Incomplete command.\n"
	"rtr#show thing now\n"
	"               ^\n"
	"% Invalid input detected at '^' marker.\n"
	"rtr#configure terminal\n" ENTER "rtr(config)#i\n"
	"% Ambiguous command:  \"i\"\n"
	"rtr(config)#no\n"
	"% Incomplete command.\n"
	"rtr(config)#interface\n"
	"% Incomplete command.\n"
	"rtr(config)#lines 1001\n"
	"                  ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% 1001 is out of range 1-1000\n"
	"rtr(config)#no lines 0\n"
	"                     ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% 0 is out of range 1-1000\n"
	"rtr(config)#interface eth0\n"
	"rtr(config-if)#ip address 10.0.0.1 255.0.255.0\n"
	"                                   ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% \"255.0.255.0\" is not a netmask\n"
	"rtr(config-if)#configure terminal\n"
	"               ^\n"
	"% Invalid input detected at '^' marker.\n",

	/* no, default; a line of another mode leaves this one. */
	"rtr#configure terminal\n" ENTER "rtr(config)#interface eth0\n"
	"rtr(config-if)#mtu 1400\n"
	"rtr(config-if)#no ip redirects\n"
	"rtr(config-if)#shutdown\n"
	"rtr(config-if)#lines 30\n"
	"rtr(config)#interface eth1\n"
	"rtr(config-if)#interface eth0\n"
	"rtr(config-if)#no mtu\n"
	"rtr(config-if)#default ip redirects\n"
	"rtr(config-if)#do show running-config | exclude !\n"
	"lines 30\ninterface eth0\n shutdown\ninterface eth1\nend\n"
	"rtr(config-if)#no interface eth0\n"
	"rtr(config)#default lines\n"
	"rtr(config)#no interface eth1\n"
	"rtr(config)#do show running-config\n"
	"!\nend\n",

	/* A buffered mode: nothing applies before it is left, by exit, ... */
	"rtr#configure terminal\n" ENTER "rtr(config)#ip access-list extended A\n"
	"rtr(config-ext-nacl)#permit tcp any any\n"
	"rtr(config-ext-nacl)#deny ip any any log\n"
	"rtr(config-ext-nacl)#do show running-config\n"
	"!\nend\n"
	"rtr(config-ext-nacl)#exit\n"
	"rtr(config)#do show running-config\n"
	"!\nip access-list extended A\n 10 permit tcp any any\n 20 deny ip any any log\n!\nend\n"
	/* ... by a line of another mode, ... */
	"rtr(config)#ip access-list extended A\n"
	"rtr(config-ext-nacl)#no 10\n"
	"rtr(config-ext-nacl)#nonsense\n"
	"                     ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% \"nonsense\" is not a number (<1-4294967294>)\n"
	"rtr(config-ext-nacl)#lines 30\n"
	"rtr(config)#do show running-config | include 0\n"
	"lines 30\n 20 deny ip any any log\n"
	/* ... from one buffered mode into the next, by end. */
	"rtr(config)#ip access-list extended B\n"
	"rtr(config-ext-nacl)#permit ip any any\n"
	"rtr(config-ext-nacl)#router bgp 65000\n"
	"rtr(config-router)#bgp router-id 1.1.1.1\n"
	"rtr(config-router)#end\n"
	"rtr#show running-config | section B|bgp\n"
	"ip access-list extended B\n 10 permit ip any any\nrouter bgp 65000\n bgp router-id 1.1.1.1\n",

	/* A mode that is refused leaves the one before, and takes its lines along, until it is left
	 * or a line of another mode comes. */
	"rtr#configure terminal\n" ENTER "rtr(config)#interface eth0\n"
	"rtr(config-if)#mtu 1400\n"
	"rtr(config-if)#interface an-interface-with-a-long-name\n"
	"                         ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% \"an-interface-with-a-long-name\" is not an interface name (IFNAME)\n"
	"rtr(config)#mtu 9000\n"
	"% it belongs to \"interface an-interface-with-a-long-name\", which was refused (\"exit\" leaves that)\n"
	"rtr(config)#no ip redirects\n"
	"% it belongs to \"interface an-interface-with-a-long-name\", which was refused (\"exit\" leaves that)\n"
	"rtr(config)#exit\n"
	"rtr(config)#interface eth1\n"
	"rtr(config-if)#interface\n"
	"% Incomplete command.\n"
	"rtr(config)#lines 30\n"
	"rtr(config)#mtu 1500\n"
	"            ^\n"
	"% Invalid input detected at '^' marker.\n"
	"rtr(config)#router bgp 65000\n"
	"rtr(config-router)#bgp router-id 1.1.1.1\n"
	"rtr(config-router)#router bgp 65001\n"
	"% there can be only one, and there is: router bgp 65000\n"
	"rtr(config)#bgp router-id 2.2.2.2\n"
	"% it belongs to \"router bgp 65001\", which was refused (\"exit\" leaves that)\n"
	"rtr(config)#do show running-config | exclude !\n"
	"lines 30\ninterface eth0\n mtu 1400\ninterface eth1\nrouter bgp 65000\n bgp router-id 1.1.1.1\nend\n"
	"rtr(config)#interface eth1\n"
	"rtr(config-if)#mtu 1500\n"
	/* One whose first word is misspelt, too. */
	"rtr(config-if)#intreface eth9\n"
	"               ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% did you mean \"interface\"?\n"
	"rtr(config)#mtu 9000\n"
	"% it belongs to \"intreface eth9\", which was refused (\"exit\" leaves that)\n"
	"rtr(config)#interface eth1\n"
	"rtr(config-if)#mtuu 9000\n"
	"               ^\n"
	"% Invalid input detected at '^' marker.\n"
	"rtr(config-if)#mtu 1500\n"
	/* A paste of which nothing was applied, too. */
	"rtr(config-if)#interface eth9\\n mtu 5\n"
	"line 2: mtu 5\n"
	"            ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% 5 is out of range 68-65535\n"
	"% 1 error; nothing of it was applied\n"
	"rtr(config)#mtu 1500\n"
	"% it belongs to \"interface eth9\", which was refused (\"exit\" leaves that)\n"
	"rtr(config)#end\n"
	"rtr#\n",

	/* What check and the kernel refuse is told and did not happen. */
	"rtr#configure terminal\n" ENTER "rtr(config)#hostname bad\n"
	"% hostname: bad is no name\n"
	"rtr(config)#hostname odd\n"
	"% Warning: hostname: odd is an odd name\n"
	"odd(config)#\n",

	/* A paste: one commit, or none with all faults told. */
	"rtr#configure terminal\\nhostname r1\\ninterface eth0\\nmtu 1400\\nexit\\nlines 30\\nend\\nshow running-config\n"
	"hostname r1\nlines 30\n!\ninterface eth0\n mtu 1400\n!\nend\n"
	"r1#configure terminal\\nhostname r2\\nmtu 5\\ninterface eth0\\n mtu 5\\nlin 3\\nend\\nshow thing\n"
	"line 3: mtu 5\n"
	"        ^\n"
	"% Invalid input detected at '^' marker.\n"
	"line 5: mtu 5\n"
	"            ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% 5 is out of range 68-65535\n"
	"% 2 errors; nothing of it was applied\n"
	"r1#show running-config | include host|mtu\n"
	"hostname r1\n mtu 1400\n",

	/* Pasted into a mode. */
	"rtr#configure terminal\n" ENTER
	"rtr(config)#interface eth0\\n mtu 1400\\n! x\\n\\n no shutdown\n"
	"rtr(config-if)#hostname a\\nhostname bad\n"
	"% hostname: bad is no name\n"
	"rtr(config)#do show running-config | include host|mtu\n"
	" mtu 1400\n",

	/* The candidate. */
	"rtr#configure candidate\n"
	"rtr(config*)#hostname r1\n"
	"rtr(config*)#interface eth0\n"
	"rtr(config-if*)#mtu 1400\n"
	"rtr(config-if*)#show candidate diff\n"
	"+hostname r1\n+interface eth0\n+ mtu 1400\n"
	"rtr(config-if*)#show candidate\n"
	"hostname r1\n!\ninterface eth0\n mtu 1400\n!\nend\n"
	"rtr(config-if*)#do show running-config\n"
	"!\nend\n"
	"rtr(config-if*)#commit check\n"
	"The candidate is good.\n"
	"rtr(config-if*)#commit comment first one\n"
	"Commit complete.\n"
	"r1(config-if*)#show candidate diff\n"
	"r1(config-if*)#mtu 1500\n"
	"r1(config-if*)#discard\n"
	"r1(config*)#show candidate diff\n"
	"r1(config*)#hostname bad\n"
	"r1(config*)#commit check\n"
	"% hostname: bad is no name\n"
	"r1(config*)#commit\n"
	"% hostname: bad is no name\n"
	"r1(config*)#hostname r2\n"
	"r1(config*)#commit\n"
	"Commit complete.\n"
	"r2(config*)#hostname r3\n"
	"r2(config*)#end\n" ASK "no way\n"
	"r2(config*)#end\n" ASK "\n"
	"r2(config*)#abort\n"
	"r2#configure candidate\n"
	"r2(config*)#lines 30\n"
	"r2(config*)#end\n" ASK "n\n"
	"% The candidate was not committed; it is discarded\n"
	"r2#configure candidate\n"
	"r2(config*)#rollback 2\n"
	"r2(config*)#show candidate diff\n"
	"-hostname r2\n+hostname r1\n"
	"r2(config*)#commit\n"
	"Commit complete.\n"
	"r1(config*)#lines 30\n"
	"r1(config*)#exit\n" ASK "yes\n"
	"r1#show archive config differences 3 2\n"
	"-hostname r2\n+hostname r1\n"
	"r1#show running-config | exclude !\n"
	"hostname r1\nlines 30\ninterface eth0\n mtu 1400\nend\n",

	/* Commit confirmed: kept, and not overrun meanwhile. */
	"rtr#configure candidate\n"
	"rtr(config*)#hostname r1\n"
	"rtr(config*)#commit confirmed 5\n"
	"Commit complete.\n"
	"Going back in 5 minutes unless confirmed: \"commit\" keeps the change, "
	"\"commit abort\" goes back now.\n"
	"r1(config*)#hostname r2\n"
	"r1(config*)#commit\n"
	"The change that waited for its confirmation stays.\n"
	"Commit complete.\n"
	"r2(config*)#hostname r3\n"
	"r2(config*)#commit confirmed 5\n"
	"Commit complete.\n"
	"Going back in 5 minutes unless confirmed: \"commit\" keeps the change, "
	"\"commit abort\" goes back now.\n"
	"r3(config*)#end\n"
	"r3#configure terminal\n" ENTER "r3(config)#lines 30\n"
	"% a confirmed commit waits: commit to keep it, commit abort to go back\n"
	"r3(config)#end\n"
	"r3#commit\n"
	"The change stays.\n"
	"r3#commit\n"
	"% No change waits for a confirmation\n",

	/* Filters and JSON. */
	"rtr#show thing | include o | exclude n\n"
	" two\n" /* "one" has both */
	"rtr#show thing | section answer | count\n"
	"Number of lines = 3\n"
	"rtr#show thing | json | include answer\n"
	"  \"answer\": 42,\n"
	"rtr#show failure\n"
	"% There is no \"failure\"\n"
	"rtr#show failure | json\n"
	"{\n  \"error\": \"There is no \\\"failure\\\"\"\n}\n"
	"rtr#show thing | grep x\n"
	"                 ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% \"grep\" is not a filter\n"
	"rtr#show thing | include (\n"
	"                 ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% \"(\": Unmatched ( or \\(\n"
	"rtr#show thing x | json\n"
	"{\n  \"error\": \"Invalid input\",\n  \"command\": \"show thing x | json\",\n  \"column\": 11\n}\n",

	/* `?` and Tab. */
	"rtr#show thi?\n"
	"thing  \n"
	"rtr#show thing ?\n"
	"  |     Output modifiers\n"
	"  <cr>  \n"
	"rtr#show nonsense ?\n"
	"% Unrecognized command\n"
	"rtr#sh th<TAB>\n"
	"[3: thing]\n"
	"rtr#show thing | <TAB>\n"
	"[13: append begin count exclude include json redirect section tee]\n"
	"rtr#show thing | s<TAB>\n"
	"[13: section]\n"
	"rtr#configure terminal\n" ENTER "rtr(config)#?\n"
	"  default    Set a command to its default\n"
	"  do         Run an EXEC command\n"
	"  end        Leave configuration mode\n"
	"  exit       Leave this mode\n"
	"  hostname   \n"
	"  interface  An interface\n"
	"  ip         IPv4\n"
	"  lines      \n"
	"  no         Negate a command or set its default\n"
	"  router     \n"
	"rtr(config)#lines ?\n"
	"  <1-1000>  a number\n"
	"rtr(config)#no li<TAB>\n"
	"[3: lines]\n"
	"rtr(config)#interface eth0\n"
	"rtr(config-if)#ip a?\n"
	"address  \n"
	"rtr(config-if)#do sh thi<TAB>\n"
	"[6: thing]\n"
	"rtr(config-if)#ip route<TAB>\n"
	"[3: ]\n",
};

START_TEST(transcript)
{
	play(transcripts[_i]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("transcripts");
	TCase *tc = tcase_create("transcripts");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, transcript, 0, (int)ARRAY_LEN(transcripts));
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
