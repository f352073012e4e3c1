"""RTO (Zhong et al. 2024, arXiv 2404.18922): PPO whose every token has a reward, from a DPO policy or from the service.

`settings` is the TOML file and `run` the loop, one iteration after the other: `rollouts` samples from the policy as it
is now, `token_rewards` and `reward_shaping` give every token its reward, `advantages` are what came better than
`actor_critic` had expected, and `update` moves the policy by the losses in `ppo_losses`. `state` is what a killed run
goes on from, and `record` what a finished one leaves.
"""
