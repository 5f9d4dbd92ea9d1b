"""The simulated guests of TextDialogue, whom tasks, rewards and data sets share."""
